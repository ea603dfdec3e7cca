package io.vblora.kernels.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.KernelException;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** That arguments reach the native ops of encoders in their order; the numbers are worked by hand. */
class TransformerTest {
    private final List<AutoCloseable> owned = new ArrayList<>();
    private final Stream stream = own(Stream.cpu(1));

    private <T extends AutoCloseable> T own(T closeable) {
        owned.add(0, closeable);
        return closeable;
    }

    private Tensor floats(float... values) {
        return own(Tensor.of(values, values.length));
    }

    private Matrix rows(int rows, float... values) {
        return new Matrix(floats(values), rows, values.length / rows);
    }

    private Tensor ints(int... values) {
        return own(Tensor.of(values, values.length));
    }

    private Tensor zeros(DType dtype, long... shape) {
        return own(Tensor.allocate(Device.CPU, dtype, shape));
    }

    @AfterEach
    void close() throws Exception {
        for (AutoCloseable closeable : owned) {
            closeable.close();
        }
    }

    private static void refused(String name, Executable call) {
        IllegalArgumentException e = assertThrows(IllegalArgumentException.class, call);
        assertTrue(e.getMessage().startsWith(name + ":"), e.getMessage());
    }

    @Test
    void embeddingsAreLookedUpOrAdded() {
        Tensor table = own(Tensor.of(new float[] {1, 2, 3, 4, 5, 6}, 3, 2));
        Tensor ids = ints(2, 0);
        Tensor out = floats(10, 20, 30, 40);
        Transformer.embeddingForward(stream, ids, table, true, out);
        assertArrayEquals(new float[] {15, 26, 31, 42}, out.toFloats());
        Transformer.embeddingForward(stream, ids, table, false, out);
        assertArrayEquals(new float[] {5, 6, 1, 2}, out.toFloats());
        refused("out", () -> Transformer.embeddingForward(stream, ids, table, true, floats(1, 2)));
        assertThrows(KernelException.class,
                () -> Transformer.embeddingForward(stream, ints(3, 0), table, true, out), "id 3 of 3 rows");
    }

    /** Two rows of mean 2 and 6, whose deviations are 1 and 2; eps 0. */
    @Test
    void layerNormalisation() {
        Tensor x = floats(1, 3, 4, 8);
        Tensor weight = floats(2, 10);
        Tensor bias = floats(0.5f, -1);
        Tensor y = zeros(DType.FLOAT32, 4);
        Tensor mean = zeros(DType.FLOAT32, 2);
        Tensor rstd = zeros(DType.FLOAT32, 2);
        Transformer.layernormForward(stream, 0, x, weight, bias, y, mean, rstd);
        assertArrayEquals(new float[] {-1.5f, 9, -1.5f, 9}, y.toFloats());
        assertArrayEquals(new float[] {2, 6}, mean.toFloats());
        assertArrayEquals(new float[] {1, 0.5f}, rstd.toFloats());
        // Rows of two elements are the same whatever moves them: no gradient.
        Tensor dx = floats(7, 7, 7, 7);
        Transformer.layernormBackward(stream, floats(1, 0, 0, 1), x, weight, mean, rstd, dx);
        assertArrayEquals(new float[4], dx.toFloats(), 1e-6f);
        // With (-1, 0, 1) · sqrt(3/2) for z and t = (1, 0, 0): t - 1/3 - z · mean(t · z) = (1/6, -1/3, 1/6).
        Tensor three = floats(-1, 0, 1);
        Tensor y3 = zeros(DType.FLOAT32, 3);
        Tensor mean1 = zeros(DType.FLOAT32, 1);
        Tensor rstd1 = zeros(DType.FLOAT32, 1);
        Tensor ones = floats(1, 1, 1);
        Transformer.layernormForward(stream, 0, three, ones, floats(0, 0, 0), y3, mean1, rstd1);
        Tensor d = floats(1, 0, 0);
        Transformer.layernormBackward(stream, d, three, ones, mean1, rstd1, d);
        float r = (float) Math.sqrt(1.5);
        assertArrayEquals(new float[] {r / 6, -r / 3, r / 6}, d.toFloats(), 1e-6f);

        refused("x", () -> Transformer.layernormForward(stream, 0, floats(1), weight, bias, y, mean, rstd));
        refused("bias", () -> Transformer.layernormForward(stream, 0, x, weight, floats(1), y, mean, rstd));
        refused("y", () -> Transformer.layernormForward(stream, 0, x, weight, bias, floats(1), mean, rstd));
        refused("mean", () -> Transformer.layernormForward(stream, 0, x, weight, bias, y, floats(1), rstd));
        assertThrows(KernelException.class,
                () -> Transformer.layernormForward(stream, -1, x, weight, bias, y, mean, rstd));
        refused("dy", () -> Transformer.layernormBackward(stream, floats(1), x, weight, mean, rstd, dx));
        refused("x", () -> Transformer.layernormBackward(stream, dx, floats(1), weight, mean, rstd, dx));
        refused("mean", () -> Transformer.layernormBackward(stream, dx, x, weight, floats(1), rstd, dx));
        refused("dx", () -> Transformer.layernormBackward(stream, dx, x, weight, mean, rstd, floats(1)));

        // dy · (x - mean) · rstd: 5 · -1 + 7 · -2 · 0.5 and 6 · 1 + 8 · 2 · 0.5; without a mean 5 · 1 + 7 · 4 · 0.5 and
        // 6 · 3 + 8 · 8 · 0.5.
        Tensor dy = floats(5, 6, 7, 8);
        Tensor dweight = floats(100, 200);
        Transformer.normWeightBackward(stream, dy, x, mean, rstd, dweight);
        assertArrayEquals(new float[] {88, 214}, dweight.toFloats());
        Transformer.normWeightBackward(stream, dy, x, null, rstd, dweight);
        assertArrayEquals(new float[] {107, 264}, dweight.toFloats());
        refused("dy", () -> Transformer.normWeightBackward(stream, floats(1), x, mean, rstd, dweight));
        refused("x", () -> Transformer.normWeightBackward(stream, dy, floats(1), mean, rstd, dweight));
        refused("mean", () -> Transformer.normWeightBackward(stream, dy, x, floats(1), rstd, dweight));
        refused("dy", () -> Transformer.normWeightBackward(stream, dy, x, mean, rstd, floats(1)));
    }

    /** Values at 1 and slopes there: of the error function's tables, and of tanh(1) = 0.7615942. */
    @Test
    void activations() {
        float[][] expected = {
            {0.8413447f, -0.1586553f, 1.0833155f}, {0.8411920f, -0.1588080f, 1.0829641f}, {1, 0, 1},
            {0.7615942f, -0.7615942f, 0.4199743f}
        };
        Matrix y = rows(2, 0, 9, 0, 9);
        Matrix dx = rows(2, 0, 0);
        Tensor dbias = floats(0);
        for (Activation activation : Activation.values()) {
            float[] values = expected[activation.ordinal()];
            Matrix x = rows(2, 0.5f, 9, -1.5f, 9);
            Transformer.biasActivationForward(stream, activation, floats(0.5f), x.columns(0, 1), y.columns(0, 1));
            assertArrayEquals(new float[] {1, 9, -1, 9}, x.tensor().toFloats(), activation.name());
            float[] activated = {values[0], 9, values[1], 9};
            assertArrayEquals(activated, y.tensor().toFloats(), 1e-6f, activation.name());
            Transformer.biasActivationForward(stream, activation, null, x.columns(0, 1), y.columns(0, 1));
            assertArrayEquals(activated, y.tensor().toFloats(), 1e-6f, activation.name());
            dbias.copyFrom(new float[] {100});
            Transformer.biasActivationBackward(stream, activation, x.columns(0, 1), rows(2, 2, 0), dx, dbias);
            assertArrayEquals(new float[] {2 * values[2], 0}, dx.tensor().toFloats(), 1e-6f, activation.name());
            assertEquals(100 + 2 * values[2], dbias.getFloat(0), 1e-5f, activation.name());
        }
        Matrix half = new Matrix(zeros(DType.BFLOAT16, 2), 2, 1);
        assertThrows(KernelException.class,
                () -> Transformer.biasActivationForward(stream, Activation.GELU, null, half, half));
        refused("activated", () -> Transformer.biasActivationForward(stream, Activation.GELU, null, dx, half));
        Matrix one = rows(1, 1);
        refused("activated", () -> Transformer.biasActivationForward(stream, Activation.GELU, null, dx, one));
        refused("bias", () -> Transformer.biasActivationForward(stream, Activation.GELU, floats(1, 2), dx, dx));
        refused("inner", () -> Transformer.biasActivationForward(stream, Activation.GELU, null,
                new Matrix(ints(1, 2), 2, 1), dx));
        refused("dactivated",
                () -> Transformer.biasActivationBackward(stream, Activation.GELU, dx, one, dx, null));
        refused("dinner", () -> Transformer.biasActivationBackward(stream, Activation.GELU, dx, dx, one, null));
        refused("dbias",
                () -> Transformer.biasActivationBackward(stream, Activation.GELU, dx, dx, dx, floats(1, 2)));
    }

    @Test
    void pooling() {
        Tensor x = floats(1, 10, 3, 30, 5, 50);
        Tensor starts = ints(0, 2, 3);
        Sequences sequences = Sequences.packed(2, 2, 3, starts);
        Tensor out = zeros(DType.FLOAT32, 4);
        Tensor dx = zeros(DType.FLOAT32, 6);
        Transformer.poolForward(stream, PoolingMode.CLS, sequences, x, out);
        assertArrayEquals(new float[] {1, 10, 5, 50}, out.toFloats());
        Transformer.poolBackward(stream, PoolingMode.CLS, sequences, floats(1, 2, 3, 4), dx);
        assertArrayEquals(new float[] {1, 2, 0, 0, 3, 4}, dx.toFloats());
        Transformer.poolForward(stream, PoolingMode.MEAN, sequences, x, out);
        assertArrayEquals(new float[] {2, 20, 5, 50}, out.toFloats());
        Transformer.poolBackward(stream, PoolingMode.MEAN, sequences, floats(1, 2, 3, 4), dx);
        assertArrayEquals(new float[] {0.5f, 1, 0.5f, 1, 3, 4}, dx.toFloats());
        for (Tensor wrong : List.of(ints(0, 3), x)) {
            Sequences bad = Sequences.packed(2, 2, 3, wrong);
            refused("starts", () -> Transformer.poolForward(stream, PoolingMode.MEAN, bad, x, out));
            refused("starts", () -> Transformer.poolBackward(stream, PoolingMode.MEAN, bad, out, dx));
        }
        refused("x", () -> Transformer.poolForward(stream, PoolingMode.MEAN, sequences, out, out));
        refused("out", () -> Transformer.poolForward(stream, PoolingMode.MEAN, sequences, x, floats(1, 2, 3)));
        refused("dx", () -> Transformer.poolBackward(stream, PoolingMode.MEAN, sequences, out, floats(1)));
        Sequences none = Sequences.packed(0, 2, 3, starts);
        refused("size", () -> Transformer.poolForward(stream, PoolingMode.MEAN, none, x, out));
        refused("size", () -> Transformer.poolBackward(stream, PoolingMode.MEAN, none, out, dx));
        Sequences padded = Sequences.padded(2, 2, ints(2, 1));
        refused("sequences", () -> Transformer.poolForward(stream, PoolingMode.MEAN, padded, x, out));
        Sequences overlong = Sequences.packed(2, 2, 3, ints(0, 2, 4));
        assertThrows(KernelException.class, () -> Transformer.poolForward(stream, PoolingMode.CLS, overlong, x, out));
    }

    /** A query with the score 0 for one key and ln 3 for the other gives them weights of 1/4 and 3/4. */
    @Test
    void aQueryMayHaveKeysBeforeItsOwn() {
        Arena arena = own(Arena.on(Device.CPU));
        arena.reserve(1 << 20);
        Attention attention = new Attention(1, 1, 1, true, 1);
        Matrix kv = rows(2, 0, 4, (float) Math.log(3), 8);
        Matrix k = kv.columns(0, 1);
        Matrix v = kv.columns(1, 1);
        Matrix q = rows(1, 1);
        Matrix out = rows(1, 0);
        Tensor lse = zeros(DType.FLOAT32, 1);
        Sequences last = Sequences.packed(1, 1, 1, ints(0, 1));
        Sequences both = Sequences.packed(1, 2, 2, ints(0, 2));
        attention.forward(stream, arena, last, both, q, k, v, out, lse);
        assertArrayEquals(new float[] {7}, out.tensor().toFloats(), 1e-6f);
        assertArrayEquals(new float[] {(float) Math.log(4)}, lse.toFloats(), 1e-6f);

        Matrix two = rows(2, 0, 9, 0, 9);
        Matrix first = two.columns(0, 1);
        Tensor lses = zeros(DType.FLOAT32, 2);
        attention.forward(stream, arena, both, rows(2, 1, 1), k, v, first, lses);
        assertArrayEquals(new float[] {4, 9, 7, 9}, two.tensor().toFloats(), 1e-6f);
        refused("k", () -> attention.forward(stream, arena, last, both, q, out, v, out, lse));
        refused("v", () -> attention.forward(stream, arena, last, both, q, k, rows(2, 4, 8), out, lse));
        refused("q", () -> attention.forward(stream, arena, last, both, k, k, v, out, lse));
        refused("lse", () -> attention.forward(stream, arena, last, both, q, k, v, out, lses));
        Sequences more = Sequences.packed(2, 1, 2, ints(0, 1, 2));
        refused("keys", () -> attention.forward(stream, arena, last, more, q, k, v, out, lse));
        Sequences none = Sequences.packed(1, 1, 0, ints(0, 0));
        refused("keys", () -> attention.forward(stream, arena, last, none, q, k, v, out, lse));
        assertThrows(KernelException.class,
                () -> attention.forward(stream, arena, both, last, k, out, out, first, lses));
    }

    /** One key has all the weight: dv is dout, and neither the query nor the key matters. */
    @Test
    void gradientsOfAttentionLieAsWhatTheyAreGradientsOf() {
        Arena arena = own(Arena.on(Device.CPU));
        arena.reserve(1 << 20);
        Attention attention = new Attention(1, 1, 1, true, 1);
        Sequences sequences = Sequences.packed(1, 1, 1, ints(0, 1));
        Matrix qkv = rows(1, 2, 3, 5);
        Matrix out = rows(1, 0);
        Tensor lse = zeros(DType.FLOAT32, 1);
        attention.forward(stream, arena, sequences, qkv.columns(0, 1), qkv.columns(1, 1), qkv.columns(2, 1), out, lse);
        assertArrayEquals(new float[] {5}, out.tensor().toFloats());
        Matrix d = rows(1, 9, 9, 9);
        attention.backward(stream, arena, sequences, qkv.columns(0, 1), qkv.columns(1, 1), qkv.columns(2, 1), out, lse,
                rows(1, 7), d.columns(0, 1), d.columns(1, 1), d.columns(2, 1));
        assertArrayEquals(new float[] {0, 0, 7}, d.tensor().toFloats());
        refused("dq", () -> attention.backward(stream, arena, sequences, qkv.columns(0, 1), qkv.columns(1, 1),
                qkv.columns(2, 1), out, lse, rows(1, 7), out, d.columns(1, 1), d.columns(2, 1)));
    }

    /** A quarter turn: (x1, x2) becomes (-x2, x1). */
    @Test
    void columnsAreRotated() {
        Matrix wide = rows(2, 1, 2, 9, 3, 4, 9);
        Transformer.rope(stream, 1, 2, ints(0, 1), floats(1, 0), floats(0, 1), false, wide.columns(0, 2));
        assertArrayEquals(new float[] {1, 2, 9, -4, 3, 9}, wide.tensor().toFloats());
        refused("x", () -> Transformer.rope(stream, 1, 2, ints(0, 1), floats(1, 0), floats(0, 1), false, wide));
    }

    @Test
    void squaredErrorsAreSummed() {
        Arena arena = own(Arena.on(Device.CPU));
        arena.reserve(1 << 10);
        Tensor predictions = floats(1, 5);
        Tensor targets = floats(3, 4);
        Tensor sum = zeros(DType.FLOAT64, 1);
        Tensor d = zeros(DType.FLOAT32, 2);
        Transformer.squaredError(stream, arena, predictions, targets, floats(0.5f), sum, d);
        assertEquals(5, sum.toDoubles()[0]);
        assertArrayEquals(new float[] {-2, 1}, d.toFloats());
        Transformer.squaredError(stream, arena, predictions, targets, null, sum, null);
        assertEquals(10, sum.toDoubles()[0]);
        refused("targets",
                () -> Transformer.squaredError(stream, arena, predictions, floats(1), null, sum, null));
        refused("lossSum",
                () -> Transformer.squaredError(stream, arena, predictions, targets, null, floats(0), null));
        refused("scale", () -> Transformer.squaredError(stream, arena, predictions, targets, d, sum, d));
    }

    @Test
    void biasesAndTheirGradientsAreAdded() {
        Tensor dbias = floats(100, 200);
        Matrix dy = rows(3, 1, 2, 9, 3, 4, 9, 5, 6, 9);
        Transformer.addBiasBackward(stream, dy.columns(0, 2), dbias);
        assertArrayEquals(new float[] {109, 212}, dbias.toFloats());
        refused("dbias", () -> Transformer.addBiasBackward(stream, dy, dbias));
        Transformer.addBias(stream, floats(10, 20), dy.columns(1, 2));
        assertArrayEquals(new float[] {1, 12, 29, 3, 14, 29, 5, 16, 29}, dy.tensor().toFloats());
        refused("bias", () -> Transformer.addBias(stream, dbias, dy));
    }
}
