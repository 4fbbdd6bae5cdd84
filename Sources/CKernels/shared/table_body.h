// The kernels that are written once over simd.h.
#include "activation_body.h"
#include "elementwise_f32_body.h"
#include "expand_f32_body.h"
#include "limits_body.h"
#include "max_pool_body.h"
#include "normalization_f32_body.h"
#include "quantize_i8_body.h"
