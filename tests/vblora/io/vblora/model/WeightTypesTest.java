package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.ModuleShape;
import io.vblora.blas.Blas;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Base weights in 16 bits: the only difference to float32 is the rounding of the weights, so that the float64 reference
 * of the rounded weights is met as closely as in float32.
 */
class WeightTypesTest {
    private static final double LOSS_TOLERANCE = 1e-6;
    private static final double GRADIENT_TOLERANCE = 1e-5;

    @TempDir
    Path folder;

    @ParameterizedTest
    @EnumSource(names = {"BFLOAT16", "FLOAT16"})
    void lossIsThatOfTheRoundedWeights(DType dtype) throws Exception {
        for (long seed = 1; seed <= 4; seed++) {
            Random random = new Random(seed);
            TinyLlama tiny = TinyLlama.write(folder.resolve("float32"), random, 2);
            int[] ids = random.ints(24, 0, tiny.config().vocabSize()).toArray();
            try (Stream stream = Stream.cpu(2); Execution execution = new Execution(stream, Blas.on(stream.device()))) {
                TinyLlama stored = tiny.in(dtype, folder.resolve("stored"), stream);
                ReferenceLlama matricesRounded = tiny.reference(dtype, stream);
                ReferenceLlama allRounded = stored.reference();
                String what = dtype + ", seed " + seed;
                Result full = result(execution, tiny, null, ids);
                assertLoss(what, tiny.reference(), ids, full);
                Result converted = result(execution, tiny, dtype, ids);
                assertLoss(what + ", converted", matricesRounded, ids, converted);
                assertNotEquals(full.loss, converted.loss, what);
                Result narrow = result(execution, stored, null, ids);
                Result widened = result(execution, stored, DType.FLOAT32, ids);
                assertLoss(what + ", stored", allRounded, ids, narrow);
                assertLoss(what + ", stored and widened", allRounded, ids, widened);
                double largest = 0;
                double worst = 0;
                for (int i = 0; i < widened.gradients.length; i++) {
                    largest = Math.max(largest, Math.abs(widened.gradients[i]));
                    worst = Math.max(worst, Math.abs((double) widened.gradients[i] - narrow.gradients[i]));
                }
                assertTrue(worst <= GRADIENT_TOLERANCE * largest, what + ": gradients differ by " + worst / largest);
            }
        }
    }

    private static TokenBatch batch(int[] ids) {
        return PaddedRows.batch(12, ids, null, new int[] {12, 12});
    }

    /** Without an adapter. */
    private static void assertLoss(String what, ReferenceLlama reference, int[] ids, Result result) {
        double expected = reference.lossSum(batch(ids), ids, Map.of());
        assertEquals(expected, result.loss, LOSS_TOLERANCE * expected, what);
    }

    /** @param gradients packed, of an adapter of all modules */
    private record Result(double loss, float[] gradients) {}

    private Result result(Execution execution, TinyLlama tiny, DType dtype, int[] ids) throws Exception {
        Stream stream = execution.stream();
        try (LlamaModel model = LlamaModel.load(tiny.folder(), dtype, stream)) {
            double loss = model.lossSum(execution, batch(ids), ids);
            List<ModuleShape> modules = model.linears();
            Random random = new Random(5);
            TinyAdapter written = TinyAdapter.write(folder.resolve("adapter"), random,
                    TinyAdapter.config(random, true, tiny.multiple(), modules, 0), modules);
            try (Adapter adapter = Adapter.load(written.folder(), stream)) {
                model.attach(adapter);
                adapter.composition().enableTraining(stream);
                adapter.composition().zeroGradient(stream);
                OnePass.loss(stream, 1, training -> model.addGradients(execution, batch(ids), ids, training));
                return new Result(loss, adapter.composition().packedGradient().toFloats());
            }
        }
    }
}
