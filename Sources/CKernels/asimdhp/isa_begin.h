#include <arm_neon.h>
#pragma clang attribute push(__attribute__((target("fullfp16"))), apply_to = function)
