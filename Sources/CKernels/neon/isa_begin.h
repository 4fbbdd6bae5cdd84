#include <arm_neon.h>
#pragma clang attribute push(__attribute__((target("neon"))), apply_to = function)
