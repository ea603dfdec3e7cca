package io.vblora.bench;

import io.vblora.adapter.Adapter;
import io.vblora.adapter.Composition;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import io.vblora.optimizer.OptimizerState;
import io.vblora.optimizer.adamw.AdamW;
import java.util.List;

/**
 * The admixture's part of an optimizer step as this project's trainer does it: from dA and dBᵀ of all modules to the
 * gradients of bank and logits, AdamW on both, the next selection, and A and Bᵀ composed from it for the next pass.
 */
final class VbLoraStep implements AutoCloseable {
    /** The paper's (Li et al., 2024, appendix A), which are the trainer's defaults as well. */
    static final double LEARNING_RATE_VECTOR_BANK = 1e-3;
    static final double LEARNING_RATE_LOGITS = 1e-2;
    static final int TOPK = 2;

    private static final int R = 4;
    private static final int VECTOR_LENGTH = 256;

    private final Stream stream;
    private final Adapter adapter;
    private final OptimizerState optimizer;
    private final StepState state;

    /** A new adapter on all linear layers of a model. {@code threads}: of the stream, the caller's included. */
    VbLoraStep(AdaptedModel model, int numVectors, int threads, long seed) {
        VbLoraConfig config = VbLoraConfig.builder().targetModules("all-linear").r(R).numVectors(numVectors)
                .vectorLength(VECTOR_LENGTH).topk(TOPK).build();
        stream = Stream.cpu(threads);
        adapter = Adapter.create(config, model.modules(), stream, seed);
        adapter.composition().enableTraining(stream);
        optimizer = new AdamW(0.9, 0.999, 1e-8, 0).attach(stream, List.of(adapter.composition()));
        state = new StepState(stream.device());
    }

    Stream stream() {
        return stream;
    }

    Adapter adapter() {
        return adapter;
    }

    OptimizerState optimizer() {
        return optimizer;
    }

    Composition composition() {
        return adapter.composition();
    }

    long rows() {
        return composition().packed().elements() / VECTOR_LENGTH;
    }

    /** Puts the gradient of packed A and Bᵀ where the model's backward passes would leave it. */
    void setGradient(Tensor packed) {
        composition().packedGradient().copyFrom(packed);
    }

    /** Number of the next step, from 1. */
    void setStep(long step) {
        state.step(step);
    }

    void backward() {
        composition().backward(stream);
    }

    void update() {
        optimizer.prepare(stream, state.step(), group -> group.learningRate().equals("learning_rate_logits")
                ? LEARNING_RATE_LOGITS : LEARNING_RATE_VECTOR_BANK);
        optimizer.update(stream, state.upload(stream));
        composition().refresh(stream);
        optimizer.updated(stream);
        composition().updated();
        state.step(state.step() + 1);
    }

    void zeroGradient() {
        composition().zeroGradient(stream);
    }

    @Override
    public void close() {
        state.close();
        optimizer.close();
        adapter.close();
        stream.close();
    }
}
