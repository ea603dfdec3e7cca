package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.blas.Blas;
import io.vblora.kernels.Arena;
import io.vblora.kernels.DType;
import io.vblora.kernels.Device;
import io.vblora.kernels.Matrix;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.TestDevice;
import io.vblora.kernels.ops.Admixture;
import io.vblora.kernels.ops.AdmixtureShape;
import io.vblora.kernels.ops.LowRank;
import io.vblora.kernels.ops.LowRankUpdate;
import io.vblora.kernels.ops.Transformer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream.Builder;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * One adapted layer, forward and backward, through the public ops, against PEFT's own code in float64. The admixture
 * and the low-rank products run on the tests' device, the products with the frozen weights on the CPU.
 */
@TestDevice.OnAny
class GoldenOpsTest {
    /**
     * What the truth's own rounding can add to an error: it is stored in float32, while PyTorch's errors were measured
     * against the float64 that it was rounded from. Half a unit in the last place of the largest magnitude.
     */
    private static final double ROUNDING_OF_TRUTH = 0x1p-24;
    /**
     * y and all gradients come from float32 sums over features or tokens, whose order is the BLAS's and the device's
     * own, and PyTorch's error that of one order. In the case ties_some_h256_b8_k3 dlogits_B had errors of 1.1e-7 to
     * 2.4e-7, median 1.5e-7, over 200 orders of the tokens drawn at random, in plain float32 arithmetic; PyTorch's is
     * 1.1e-7. Hence another unit for these.
     */
    private static final double ORDER_OF_SUMS = 0x1p-24;
    private static final Set<String> WITHOUT_SUMS = Set.of("A", "B", "w_A", "w_B", "delta_weight");
    /**
     * Largest error allowed per output, max abs / max |truth|, in cases with 16-bit inputs, which are computed in
     * float32 from those inputs, while PyTorch computed in 16 bits: the worst that its own float32 shows over all other
     * cases.
     */
    private static final Map<String, Double> BOUNDS = new LinkedHashMap<>();

    static {
        for (String output : List.of("A", "B", "w_A", "w_B", "delta_weight")) {
            BOUNDS.put(output, 1.9e-7);
        }
        BOUNDS.put("y", 2.7e-6);
        BOUNDS.put("dx", 2.3e-6);
        for (String output : List.of("dlogits_A", "dlogits_B", "dlogits_A_topk", "dlogits_B_topk")) {
            BOUNDS.put(output, 1.5e-6);
        }
        BOUNDS.put("dbank", 1.3e-6);
    }

    private static final Path OWN = Golden.own("ops");
    private static final String SHARED = "golden/ops";
    /** The CPU's. */
    private static Stream stream;
    private static Stream device;
    private static Arena arena;
    private static Blas blas;

    private final List<Tensor> tensors = new ArrayList<>();
    private final Map<String, Double> errors = new LinkedHashMap<>();

    @BeforeAll
    static void open() {
        stream = Stream.cpu(2);
        device = TestDevice.stream();
        arena = Arena.on(Device.CPU);
        blas = Blas.on(Device.CPU);
        System.out.println("Errors against float64, ours / PyTorch's own, in units of 1e-7 of the largest magnitude:");
    }

    @AfterAll
    static void close() {
        arena.close();
        device.close();
        stream.close();
    }

    static java.util.stream.Stream<Arguments> cases() {
        Builder<Arguments> cases = java.util.stream.Stream.builder();
        List<String> own = GoldenCase.names(OWN);
        own.forEach(name -> cases.add(Arguments.of(name, OWN)));
        if (Golden.hasShared(SHARED)) {
            Path shared = Golden.shared(SHARED);
            GoldenCase.names(shared).stream().filter(name -> !own.contains(name))
                    .forEach(name -> cases.add(Arguments.of(name, shared)));
        } else {
            System.out.println("SKIPPED: all cases but " + own.size() + ", for want of ../shared/" + SHARED);
        }
        return cases.build();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("cases")
    void asAccurateAsPyTorch(String name, Path folder) {
        try (GoldenCase golden = GoldenCase.open(folder, name)) {
            run(golden);
            report(golden);
            errors.forEach((output, error) -> {
                double bound = bound(golden, output);
                assertTrue(error <= bound, () -> name + ": error of " + output + " is " + error + ", bound " + bound);
            });
            assertEquals(BOUNDS.keySet(), errors.keySet());
        } finally {
            tensors.forEach(Tensor::close);
        }
    }

    /** PyTorch's own float32 error of the same output in the same case, and what that cannot tell. */
    private static double bound(GoldenCase golden, String output) {
        if (!golden.isFloat32()) {
            return BOUNDS.get(output);
        }
        double order = WITHOUT_SUMS.contains(output) ? 0 : ORDER_OF_SUMS;
        return golden.torchError(output) + ROUNDING_OF_TRUTH + order;
    }

    private void run(GoldenCase golden) {
        int h = golden.parameter("h");
        int b = golden.parameter("b");
        int k = golden.parameter("k");
        int r = golden.parameter("r");
        int in = golden.parameter("in");
        int out = golden.parameter("out");
        int tokens = golden.parameter("T");
        int rowsA = r * in / b;
        int rowsB = r * out / b;
        int rows = rowsA + rowsB;

        // logits_A [r, in/b, h] and A [r, in] have one order; logits_B is [out/b, r, h], Bᵀ is [r, out].
        int[] slots = IntStream.range(0, rows)
                .map(n -> n < rowsA ? n : rowsA + (n - rowsA) % r * (out / b) + (n - rowsA) / r).toArray();
        AdmixtureShape shape = new AdmixtureShape(rows, h, b, k, onDevice(own(Tensor.of(slots, rows))));
        Tensor bank = onDevice(own(golden.floats("bank")));
        Tensor logits = own(Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, rows, h));
        logits.view(0, rowsA, h).copyFrom(own(golden.floats("logits_A")));
        logits.view((long) rowsA * h, rowsB, h).copyFrom(own(golden.floats("logits_B")));

        Tensor indices = own(Tensor.allocate(TestDevice.DEVICE, DType.INT32, rows, k));
        Tensor weights = own(Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, rows, k));
        Tensor badRow = own(Tensor.allocate(TestDevice.DEVICE, DType.INT64, 1));
        Admixture.select(device, shape, logits, indices, weights, badRow);
        assertEquals(-1, badRow.getLong(0), golden.name);
        int[] indicesA = indices.view(0, rowsA, k).toInts();
        int[] indicesB = indices.view((long) rowsA * k, rowsB, k).toInts();
        assertArrayEquals(golden.indices("idx_A"), indicesA, () -> golden.name + ": idx_A");
        assertArrayEquals(golden.indices("idx_B"), indicesB, () -> golden.name + ": idx_B");
        compare(golden, "w_A", weights.view(0, rowsA, k).toFloats());
        compare(golden, "w_B", weights.view((long) rowsA * k, rowsB, k).toFloats());

        Tensor composed = own(Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, shape.packedElements()));
        Admixture.compose(device, shape, bank, indices, weights, composed);
        Tensor a = composed.view(0, r, in);
        Tensor bt = composed.view((long) r * in, r, out);
        compare(golden, "A", a.toFloats());
        compare(golden, "B", transpose(bt.toFloats(), r, out));
        Tensor delta = onDevice(floats(out, in));
        new LowRankUpdate(in, out, r, 1, golden.isConv1d()).delta(device, a, bt, delta);
        compare(golden, "delta_weight", delta.toFloats());

        Tensor weight = own(golden.input("W"));
        Tensor x = own(golden.floats("x"));
        Tensor dy = own(golden.floats("dY"));
        Tensor baseY = floats(tokens, out);
        Tensor baseDx = floats(tokens, in);
        arena.reserve(4L * in * out + (1 << 20)); // scratch for W in float32, which widening tiles of it never exceeds
        boolean outIn = !golden.isConv1d();
        Matrix stored = outIn ? new Matrix(weight, out, in) : new Matrix(weight, in, out);
        blas.gemm(stream, arena, false, outIn, new Matrix(x, tokens, in), stored, 0, null, Matrix.of(baseY));
        if (golden.hasInput("bias")) {
            Transformer.addBias(stream, own(golden.floats("bias")), Matrix.of(baseY));
        }
        blas.gemm(stream, arena, false, !outIn, new Matrix(dy, tokens, out), stored, 0, null, Matrix.of(baseDx));
        // The ops draw masks of their own; a given one is applied to the branch's input and to its gradient outside.
        float[] mask = golden.hasInput("dropout_mask") ? own(golden.floats("dropout_mask")).toFloats() : null;
        Tensor deviceX = onDevice(x);
        if (mask != null) {
            deviceX.copyFrom(times(mask, x.toFloats()));
        }
        Tensor y = onDevice(baseY);
        Tensor dx = onDevice(mask == null ? baseDx : floats(tokens, in));
        Tensor p = own(Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, tokens, r));
        Tensor q = own(Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, tokens, r));
        Tensor dpacked = own(Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, shape.packedElements()));
        LowRank lowRank = LowRank.ofLayer(in, out, r, 0, 0, 1);
        List<LowRank.Factors> factors = List.of(new LowRank.Factors(a, bt));
        List<LowRank.Factors> gradients = List.of(new LowRank.Factors(dpacked.view(0, r, in),
                dpacked.view((long) r * in, r, out)));
        lowRank.forward(device, null, 0, tokens, deviceX, factors, p, y);
        lowRank.backward(device, null, 0, tokens, deviceX, onDevice(dy), factors, p, q, dx, gradients,
                own(Tensor.allocate(TestDevice.DEVICE, DType.UINT8,
                        lowRank.backwardScratchBytes(device, tokens, DType.FLOAT32, DType.FLOAT32))));
        compare(golden, "y", y.toFloats());
        compare(golden, "dx", mask == null ? dx.toFloats() : plus(baseDx.toFloats(), times(mask, dx.toFloats())));

        Tensor dlogits = own(Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, rows, k));
        Tensor dbank = own(Tensor.allocate(TestDevice.DEVICE, DType.FLOAT32, h, b));
        Admixture.backward(device, shape, bank, indices, weights, dpacked, dlogits, dbank,
                own(Tensor.allocate(TestDevice.DEVICE, DType.UINT8, Admixture.backwardScratchBytes(device, shape))));
        compare(golden, "dbank", dbank.toFloats());
        float[] dlogitsA = dlogits.view(0, rowsA, k).toFloats();
        float[] dlogitsB = dlogits.view((long) rowsA * k, rowsB, k).toFloats();
        compare(golden, "dlogits_A_topk", dlogitsA);
        compare(golden, "dlogits_B_topk", dlogitsB);
        compare(golden, "dlogits_A", scatter(dlogitsA, indicesA, k, h));
        compare(golden, "dlogits_B", scatter(dlogitsB, indicesB, k, h));
    }

    private void compare(GoldenCase golden, String output, float[] actual) {
        errors.put(output, golden.error(output, actual));
    }

    private void report(GoldenCase golden) {
        String name = golden.name + (golden.isFloat32() ? "" : " (16 bit)");
        StringBuilder line = new StringBuilder(String.format("%-22s", name));
        errors.forEach((output, error) -> {
            if (!output.endsWith("_topk")) {
                double torch = golden.torchError(output);
                line.append(String.format(Locale.ROOT, "  %s %.2f/%.2f", output, error * 1e7, torch * 1e7));
            }
        });
        System.out.println(line);
    }

    private Tensor floats(long... shape) {
        return own(Tensor.allocate(Device.CPU, DType.FLOAT32, shape));
    }

    /** A copy on the device. */
    private Tensor onDevice(Tensor tensor) {
        return own(Tensor.allocate(TestDevice.DEVICE, tensor.dtype(), tensor.shape())).copyFrom(tensor);
    }

    private Tensor own(Tensor tensor) {
        tensors.add(tensor);
        return tensor;
    }

    private static float[] times(float[] a, float[] b) {
        float[] product = new float[a.length];
        for (int i = 0; i < a.length; i++) {
            product[i] = a[i] * b[i];
        }
        return product;
    }

    private static float[] plus(float[] a, float[] b) {
        float[] sum = new float[a.length];
        for (int i = 0; i < a.length; i++) {
            sum[i] = a[i] + b[i];
        }
        return sum;
    }

    private static float[] transpose(float[] matrix, int rows, int columns) {
        float[] result = new float[matrix.length];
        for (int i = 0; i < matrix.length; i++) {
            result[i % columns * rows + i / columns] = matrix[i];
        }
        return result;
    }

    /** Gradients of the selected logits as the dense [rows, h] gradient. */
    private static float[] scatter(float[] dlogits, int[] indices, int k, int h) {
        float[] dense = new float[dlogits.length / k * h];
        for (int i = 0; i < dlogits.length; i++) {
            dense[i / k * h + indices[i]] = dlogits[i];
        }
        return dense;
    }
}
