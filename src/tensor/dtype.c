/* dtype.c - sizes of element types, half-precision conversions. */
#include "tensor/dtype.h"

#include <string.h>

const hone_dtype_info *hone_dtype_get_info(int dtype)
{
    static const hone_dtype_info table[] = {
        [0] = {"F32", 1, 4, true},          [1] = {"F16", 1, 2, true},          [2] = {"Q4_0", 32, 18, true},
        [3] = {"Q4_1", 32, 20, true},       [6] = {"Q5_0", 32, 22, true},       [7] = {"Q5_1", 32, 24, true},
        [8] = {"Q8_0", 32, 34, true},       [9] = {"Q8_1", 32, 36, false},      [10] = {"Q2_K", 256, 84, false},
        [11] = {"Q3_K", 256, 110, false},   [12] = {"Q4_K", 256, 144, true},    [13] = {"Q5_K", 256, 176, true},
        [14] = {"Q6_K", 256, 210, true},    [15] = {"Q8_K", 256, 292, false},   [16] = {"IQ2_XXS", 256, 66, false},
        [17] = {"IQ2_XS", 256, 74, false},  [18] = {"IQ3_XXS", 256, 98, false}, [19] = {"IQ1_S", 256, 50, false},
        [20] = {"IQ4_NL", 32, 18, false},   [21] = {"IQ3_S", 256, 110, false},  [22] = {"IQ2_S", 256, 82, false},
        [23] = {"IQ4_XS", 256, 136, false}, [24] = {"I8", 1, 1, false},         [25] = {"I16", 1, 2, false},
        [26] = {"I32", 1, 4, false},        [27] = {"I64", 1, 8, false},        [28] = {"F64", 1, 8, false},
        [29] = {"IQ1_M", 256, 56, false},   [30] = {"BF16", 1, 2, true},        [34] = {"TQ1_0", 256, 54, false},
        [35] = {"TQ2_0", 256, 66, false},   [39] = {"MXFP4", 32, 17, false},
    };
    if (dtype < 0 || (size_t)dtype >= sizeof table / sizeof *table || !table[dtype].name)
        return NULL;
    return &table[dtype];
}

static float bits_to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static uint32_t float_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    return bits;
}

float hone_f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    if (exponent == 31)
        return bits_to_float(sign | 0x7F800000u | mantissa << 13);
    if (exponent == 0)
        return bits_to_float(sign | float_to_bits((float)mantissa * 0x1p-24f));
    return bits_to_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t hone_f32_to_f16(float f)
{
    uint32_t bits = float_to_bits(f), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u)
        return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= 0x477FF000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7C00u);
    if (magnitude < 0x38800000u) { /* below 2^-14: a multiple of 2^-24, rounded by the addition */
        float shifted = bits_to_float(magnitude) + 0.5f;
        return (uint16_t)(sign | (float_to_bits(shifted) - 0x3F000000u));
    }
    uint32_t rounded = magnitude + 0xFFFu + (magnitude >> 13 & 1);
    return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
}

float hone_bf16_to_f32(uint16_t h)
{
    return bits_to_float((uint32_t)h << 16);
}

uint16_t hone_f32_to_bf16(float f)
{
    uint32_t bits = float_to_bits(f);
    if ((bits & 0x7FFFFFFFu) > 0x7F800000u)
        return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + 0x7FFFu + (bits >> 16 & 1)) >> 16);
}
