#include <arm_neon.h>
#pragma clang attribute push(__attribute__((target("i8mm,dotprod"))), apply_to = function)
