#include "include/ckernels.h"
