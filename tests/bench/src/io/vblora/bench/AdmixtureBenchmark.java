package io.vblora.bench;

import java.util.concurrent.TimeUnit;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.TensorVector;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/**
 * Forward, backward and AdamW of a model's admixture, ours and PEFT's way in libtorch. An iteration is a batch of steps
 * that begins with the same state, so that how far training has come does not depend on how fast it is; the gradients
 * that a step begins with are put in place outside the time.
 */
@BenchmarkMode(Mode.SingleShotTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
public class AdmixtureBenchmark {
    static final long SEED = 42;

    /** What is measured; the values are set by {@link AdmixtureCommand}. */
    @State(Scope.Benchmark)
    public abstract static class Case {
        @Param("ROBERTA_BASE")
        public AdaptedModel model;
        @Param("1024")
        public int numVectors;
        @Param("1")
        public int threads;
        @Param("64")
        public int activeEntries;

        Gradients gradients;

        VbLoraStep begin() {
            VbLoraStep step = new VbLoraStep(model, numVectors, threads, SEED);
            gradients = new Gradients(step.composition().packed().elements(), SEED);
            return step;
        }
    }

    /** Ours. */
    @State(Scope.Benchmark)
    public static class VbLora extends Case {
        private VbLoraStep step;
        private MidTraining midTraining;

        @Setup
        public void setUp() {
            step = begin();
            midTraining = new MidTraining(step, numVectors, Math.min(activeEntries, numVectors), SEED);
        }

        @Setup(Level.Iteration)
        public void restore() {
            midTraining.restore();
        }

        @Setup(Level.Invocation)
        public void setGradient() {
            step.setGradient(gradients.next());
        }

        @TearDown
        public void tearDown() {
            midTraining.close();
            step.close();
            gradients.close();
        }
    }

    /** libtorch, whose work does not depend on the state: all logits are scanned and updated in every step. */
    @State(Scope.Benchmark)
    public static class Libtorch extends Case {
        private PeftStep step;

        @Setup
        public void setUp() {
            try (VbLoraStep ours = begin()) {
                step = new PeftStep(ours, VbLoraStep.TOPK, threads);
            }
        }

        @Setup(Level.Invocation)
        public void setGradient() {
            step.setGradient(gradients.next());
        }

        @TearDown
        public void tearDown() {
            gradients.close();
        }
    }

    @Benchmark
    public void vblora(VbLora state) {
        state.step.backward();
        state.step.update();
        state.step.zeroGradient();
    }

    @Benchmark
    public void libtorch(Libtorch state) {
        try (PointerScope scope = new PointerScope()) {
            TensorVector matrices = state.step.forward();
            state.step.backward(matrices);
            state.step.update();
            state.step.zeroGrad();
        }
    }
}
