package io.vblora.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.Golden;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.Composition;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.blas.Blas;
import io.vblora.data.CausalLmExample;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.model.Execution;
import io.vblora.model.LlamaModel;
import io.vblora.optimizer.Optimizer;
import io.vblora.parameters.NamedTensors;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** A training run has the same bits on every run and for any number of threads. */
class SameBitsTest {
    private static final int STEPS = 5;

    /** The ways that parameters are kept and updated. */
    enum Method {
        LORA {
            @Override
            AdapterConfig config() {
                return LoraConfig.builder().r(4).targetModules("all-linear").loraDropout(0.1).build();
            }
        },
        /** A bank small enough for dense AdamW. */
        VBLORA_DENSE {
            @Override
            AdapterConfig config() {
                return vbLora(90);
            }
        },
        /** A bank large enough for active sets. */
        VBLORA_ACTIVE {
            @Override
            AdapterConfig config() {
                return vbLora(300);
            }
        };

        abstract AdapterConfig config();

        private static AdapterConfig vbLora(int numVectors) {
            return VbLoraConfig.builder().r(4).targetModules("all-linear").numVectors(numVectors).vectorLength(16)
                    .vbloraDropout(0.1).build();
        }
    }

    /** All numbers of a run under their names, as bits. */
    private static Map<String, int[]> run(Method method, DType dtype, int threads, long seed) {
        Map<String, int[]> bits = new LinkedHashMap<>();
        try (Stream stream = Stream.cpu(threads);
                Execution execution = new Execution(stream, Blas.on(stream.device()));
                LlamaModel model = LlamaModel.load(Golden.own("models/tinyrand"), dtype, stream);
                Adapter adapter = Adapter.create(method.config(), model.linears(), stream, 7)) {
            model.attach(adapter);
            TrainingArguments arguments = TrainingArguments.builder().maxSteps(STEPS).perDeviceTrainBatchSize(3)
                    .gradientAccumulationSteps(2).maxGradNorm(0.5).warmupSteps(1).seed(seed).build();
            TrainingListener listener = new TrainingListener() {
                @Override
                public void onStep(Step step) {
                    bits.put("loss of step " + step.step(), bits(step.loss()));
                    bits.put("gradient norm of step " + step.step(), bits(step.gradNorm()));
                }

                @Override
                public void onEvaluation(Evaluation evaluation) {
                    bits.put("held-out loss after step " + evaluation.step(),
                            bits(evaluation.metrics().get("eval_loss")));
                }
            };
            List<CausalLmExample> examples = examples();
            Optimizer adamW = arguments.optimizer().create();
            Optimizer observed = (on, trainables) -> new ObservedState(adamW.attach(on, trainables),
                    tensors -> tensors.quantities().forEach((quantity, named) -> named.asMap().forEach(
                            (name, tensor) -> bits.put(quantity + " of " + name, bits(tensor)))), on);
            new Trainer<>(new CausalLmObjective(model), execution, arguments, List.of(listener), observed)
                    .train(examples, examples.subList(0, 4));
            Composition composition = adapter.composition();
            bits.put("packed gradients of the last step", bits(composition.packedGradient()));
            bits.put("packed", bits(composition.packed()));
            try (NamedTensors parameters = composition.parameters(stream)) {
                parameters.asMap().forEach((name, tensor) -> bits.put(name, bits(tensor)));
            }
            assertTrue(bits.keySet().stream().anyMatch(name -> name.startsWith("exp_avg_sq of ")));
        }
        return bits;
    }

    /** Sequences of different lengths, so that batches are padded. */
    private static List<CausalLmExample> examples() {
        Random random = new Random(3);
        List<CausalLmExample> examples = new ArrayList<>();
        for (int i = 0; i < 30; i++) {
            examples.add(CausalLmExample.of(random.ints(20 + random.nextInt(50), 0, 512).toArray()));
        }
        return examples;
    }

    private static int[] bits(double value) {
        long bits = Double.doubleToRawLongBits(value);
        return new int[] {(int) (bits >>> 32), (int) bits};
    }

    private static int[] bits(Tensor tensor) {
        int[] bits = new int[Math.toIntExact(tensor.elements())];
        tensor.buffer(0, Math.toIntExact(tensor.bytes())).asIntBuffer().get(bits);
        return bits;
    }

    private static void assertSame(String what, Map<String, int[]> expected, Map<String, int[]> found) {
        assertEquals(expected.keySet(), found.keySet(), what);
        expected.forEach((name, bits) -> assertArrayEquals(bits, found.get(name), () -> what + ": " + name));
    }

    @ParameterizedTest
    @EnumSource(Method.class)
    void anyNumberOfThreadsGivesTheSameBits(Method method) {
        Map<String, int[]> one = run(method, null, 1, 42);
        assertTrue(one.size() > 2 * STEPS);
        assertSame("2 threads", one, run(method, null, 2, 42));
        assertSame("3 threads", one, run(method, null, 3, 42));
        assertSame("again", one, run(method, null, 1, 42));
    }

    @Test
    void alsoWithSixteenBitWeights() {
        for (DType dtype : List.of(DType.BFLOAT16, DType.FLOAT16)) {
            Map<String, int[]> one = run(Method.VBLORA_DENSE, dtype, 1, 42);
            assertSame(dtype + ", 3 threads", one, run(Method.VBLORA_DENSE, dtype, 3, 42));
        }
    }

    @Test
    void anotherSeedGivesOthers() {
        int[] packed = run(Method.LORA, null, 2, 42).get("packed");
        assertFalse(Arrays.equals(packed, run(Method.LORA, null, 2, 43).get("packed")));
    }
}
