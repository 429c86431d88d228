/* Element-wise work of a training step in bfloat16, each piece one pass over memory.
 *
 * Matrix products stay with PyTorch. Between them PyTorch would read and write every intermediate value once
 * per operation; these loops keep them in registers, in float32. They are compiled on the machine they run
 * on by freehold/training/kernels.py, which also says what each array is. Rows are shared out among
 * `threads`; sums never cross rows that threads share, so results don't depend on their number.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;
typedef int64_t i64;

#define CHUNK 1024

static inline float up(bf16 value) {
    union { uint32_t bits; float number; } cast = {(uint32_t)value << 16};
    return cast.number;
}

/* To nearest, ties to even; not-a-number stays so. */
static inline bf16 down(float value) {
    union { float number; uint32_t bits; } cast = {value};
    uint32_t rounded = (cast.bits + 0x7fffu + ((cast.bits >> 16) & 1u)) >> 16;
    return (bf16)(value != value ? 0x7fc0u : rounded);
}

/* e^x by 2^i * 2^f with a polynomial for 2^f (Cephes' coefficients); relative error under 3e-7. */
static inline float fast_exp(float x) {
    x = x > 88.0f ? 88.0f : x;
    float kept = x < -87.0f ? -87.0f : x; /* also what a not-a-number keeps: it compares false */
    float whole = rintf(kept * 1.44269504f);
    float rest = fmaf(whole, 2.12194440e-4f, fmaf(whole, -0.693359375f, kept));
    float p = 1.9875691500e-4f;
    p = p * rest + 1.3981999507e-3f;
    p = p * rest + 8.3334519073e-3f;
    p = p * rest + 4.1665795894e-2f;
    p = p * rest + 1.6666665459e-1f;
    p = p * rest + 5.0000001201e-1f;
    p = p * rest * rest + rest + 1.0f;
    union { int32_t bits; float number; } scale = {((int32_t)whole + 127) << 23};
    return x < -87.0f ? 0.0f : p * scale.number;
}

static inline float sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

void rms_norm(const bf16 *restrict x, const bf16 *restrict weight, bf16 *restrict out, float *restrict inverse,
              i64 rows, i64 width, float eps, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 row = 0; row < rows; row++) {
        const bf16 *restrict in = x + row * width;
        bf16 *restrict to = out + row * width;
        float sum = 0;
        for (i64 at = 0; at < width; at++) sum += up(in[at]) * up(in[at]);
        float scale = 1.0f / sqrtf(sum / (float)width + eps);
        inverse[row] = scale;
        /* Rounded between, as the model's own module does. */
        for (i64 at = 0; at < width; at++) to[at] = down(up(down(up(in[at]) * scale)) * up(weight[at]));
    }
}

/* out = gradient of the norm for x, plus onto (which may be NULL). */
void rms_norm_backward(const bf16 *restrict grad, const bf16 *restrict x, const float *restrict inverse,
                       const bf16 *restrict weight, const bf16 *restrict onto, bf16 *restrict out, i64 rows,
                       i64 width, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 row = 0; row < rows; row++) {
        const bf16 *g = grad + row * width, *in = x + row * width;
        bf16 *to = out + row * width;
        float scale = inverse[row], along = 0;
        for (i64 at = 0; at < width; at++) along += up(g[at]) * up(weight[at]) * up(in[at]);
        along *= scale * scale * scale / (float)width;
        if (onto) {
            const bf16 *more = onto + row * width;
            for (i64 at = 0; at < width; at++)
                to[at] = down(up(g[at]) * up(weight[at]) * scale - up(in[at]) * along + up(more[at]));
        } else {
            for (i64 at = 0; at < width; at++)
                to[at] = down(up(g[at]) * up(weight[at]) * scale - up(in[at]) * along);
        }
    }
}

/* both = gate | up, (rows, 2 width); out = silu(gate) * up. */
void swiglu(const bf16 *restrict both, bf16 *restrict out, i64 rows, i64 width, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 row = 0; row < rows; row++) {
        const bf16 *gate = both + row * 2 * width, *raised = gate + width;
        bf16 *to = out + row * width;
        for (i64 at = 0; at < width; at++) {
            float g = up(gate[at]);
            to[at] = down(g * sigmoid(g) * up(raised[at]));
        }
    }
}

/* Gradient for both, and what swiglu had given. */
void swiglu_backward(const bf16 *restrict grad, const bf16 *restrict both, bf16 *restrict out,
                     bf16 *restrict inner, i64 rows, i64 width, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 row = 0; row < rows; row++) {
        const bf16 *gate = both + row * 2 * width, *raised = gate + width;
        const bf16 *in = grad + row * width;
        bf16 *d_gate = out + row * 2 * width, *d_raised = d_gate + width;
        bf16 *to = inner + row * width;
#pragma omp simd
        for (i64 at = 0; at < width; at++) {
            float g = up(gate[at]), d = up(in[at]), u = up(raised[at]), s = sigmoid(g), active = g * s;
            d_raised[at] = down(d * active);
            d_gate[at] = down(d * u * (s + active * (1.0f - s)));
            to[at] = down(active * u);
        }
    }
}

/* Turns the first `turned` heads of each row in place; `sign` -1 turns back. cos and sin are (rows, half). */
void rotate(bf16 *restrict x, const bf16 *restrict cos, const bf16 *restrict sin, i64 rows, i64 heads,
            i64 turned, i64 half, float sign, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 row = 0; row < rows; row++) {
        const bf16 *c = cos + row * half, *s = sin + row * half;
        for (i64 head = 0; head < turned; head++) {
            bf16 *first = x + (row * heads + head) * 2 * half, *second = first + half;
            for (i64 at = 0; at < half; at++) {
                float a = up(first[at]), b = up(second[at]), co = up(c[at]), si = up(s[at]) * sign;
                first[at] = down(a * co - b * si);
                second[at] = down(b * co + a * si);
            }
        }
    }
}

/* Logits become their gradient in place; `loss` is -log p(target) a row, `right` whether the target is the
 * most likely (the first among equals). */
void cross_entropy(bf16 *restrict logits, const i64 *restrict targets, float *restrict loss,
                   uint8_t *restrict right, i64 rows, i64 width, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 row = 0; row < rows; row++) {
        bf16 *x = logits + row * width;
        i64 target = targets[row];
        float wanted = up(x[target]), most = -INFINITY, sum = 0;
        for (i64 at = 0; at < width; at++) {
            float value = up(x[at]);
            most = value > most ? value : most;
        }
        int ahead = 0;
        for (i64 at = 0; at < target; at++) ahead |= up(x[at]) >= wanted;
        right[row] = wanted == most && !ahead;
        for (i64 at = 0; at < width; at++) sum += fast_exp(up(x[at]) - most);
        float log_sum = most + logf(sum);
        loss[row] = log_sum - wanted;
        for (i64 at = 0; at < width; at++) x[at] = down(fast_exp(up(x[at]) - log_sum));
        x[target] = down(expm1f(wanted - log_sum));
    }
}

/* Heads of packed tokens to blocks: out (rows, heads, prefix + length, width) takes each head of the shared prefix and of token at[row][t]. `stride` is values per packed token. Slots past
 * a row's size are zero where `sizes` are given. */
void gather(const bf16 *restrict packed, const i64 *restrict at, const i64 *restrict sizes,
            bf16 *restrict out, i64 stride, i64 prefix, i64 rows, i64 length, i64 heads, i64 width,
            int threads) {
    i64 tokens = prefix + length;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 row = 0; row < rows; row++)
        for (i64 head = 0; head < heads; head++) {
            bf16 *to = out + (row * heads + head) * tokens * width;
            i64 end = sizes ? prefix + sizes[row] : tokens;
            memset(to + end * width, 0, (size_t)((tokens - end) * width) * sizeof(bf16));
            for (i64 t = 0; t < end; t++) {
                i64 token = t < prefix ? t : at[row * length + t - prefix];
                memcpy(to + t * width, packed + token * stride + head * width, (size_t)width * sizeof(bf16));
            }
        }
}

/* The way back: tokens go where they came from, each only from its own slot (`sizes` a row); what blocks say
 * about the prefix is summed and added. */
void scatter(const bf16 *restrict blocks, const i64 *restrict at, const i64 *restrict sizes,
             bf16 *restrict packed, i64 stride, i64 prefix, i64 rows, i64 length, i64 heads, i64 width,
             int threads) {
    i64 tokens = prefix + length;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 row = 0; row < rows; row++)
        for (i64 head = 0; head < heads; head++) {
            const bf16 *from = blocks + ((row * heads + head) * tokens + prefix) * width;
            for (i64 t = 0; t < sizes[row]; t++)
                memcpy(packed + at[row * length + t] * stride + head * width, from + t * width,
                       (size_t)width * sizeof(bf16));
        }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 pair = 0; pair < prefix * heads; pair++) {
        i64 t = pair / heads, head = pair % heads;
        float sum[CHUNK];
        bf16 *to = packed + t * stride + head * width;
        for (i64 w = 0; w < width; w++) sum[w] = up(to[w]);
        for (i64 row = 0; row < rows; row++) {
            const bf16 *from = blocks + ((row * heads + head) * tokens + t) * width;
            for (i64 w = 0; w < width; w++) sum[w] += up(from[w]);
        }
        for (i64 w = 0; w < width; w++) to[w] = down(sum[w]);
    }
}

/* Scores (blocks, group * length, prefix + length) become probabilities in place; a query sees the prefix and
 * the tokens up to itself. Whole lines are computed, so that no part of them is left to slower code. */
void causal_softmax(bf16 *restrict scores, i64 blocks, i64 group, i64 length, i64 prefix, float scale,
                    int threads) {
    i64 keys = prefix + length;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 line = 0; line < blocks * group * length; line++) {
        bf16 *x = scores + line * keys;
        int seen = (int)(prefix + line % length + 1), all = (int)keys;
        float most = -INFINITY, sum = 0, value[CHUNK];
        for (int k = 0; k < seen; k++) most = up(x[k]) > most ? up(x[k]) : most;
        most *= scale;
        for (int from = 0; from < all; from += CHUNK) {
            int end = all - from < CHUNK ? all - from : CHUNK;
            for (int k = 0; k < end; k++) {
                float e = fast_exp(up(x[from + k]) * scale - most);
                value[k] = from + k < seen ? e : 0.0f;
            }
            for (int k = 0; k < end; k++) sum += value[k];
            if (all > CHUNK)
                for (int k = 0; k < end; k++) x[from + k] = down(value[k]);
        }
        float share = 1.0f / sum;
        if (all > CHUNK)
            for (int k = 0; k < all; k++) x[k] = down(up(x[k]) * share);
        else
            for (int k = 0; k < all; k++) x[k] = down(value[k] * share);
    }
}

/* Gradient of probabilities to gradient of the unscaled products, in place; what is not seen has probability 0. */
void causal_softmax_backward(bf16 *restrict grad, const bf16 *restrict probabilities, i64 blocks, i64 group,
                             i64 length, i64 prefix, float scale, int threads) {
    i64 keys = prefix + length;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (i64 line = 0; line < blocks * group * length; line++) {
        bf16 *restrict g = grad + line * keys;
        const bf16 *restrict p = probabilities + line * keys;
        float along = 0;
        for (i64 k = 0; k < keys; k++) along += up(g[k]) * up(p[k]);
        for (i64 k = 0; k < keys; k++) g[k] = down(up(p[k]) * (up(g[k]) - along) * scale);
    }
}
