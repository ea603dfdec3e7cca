package io.vblora.optimizer.toy;

import io.vblora.InputException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.kernels.ops.StepState;
import io.vblora.optimizer.Optimizer;
import io.vblora.optimizer.OptimizerFactory;
import io.vblora.optimizer.OptimizerSettings;
import io.vblora.optimizer.OptimizerState;
import io.vblora.optimizer.OptimizerTensors;
import io.vblora.parameters.DenseParameters;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.SelectedLogits;
import io.vblora.parameters.Trainable;
import io.vblora.parameters.TrainedParameters;
import java.util.List;
import java.util.Map;
import java.util.function.ToDoubleFunction;

/** Plain gradient descent, on the CPU: p -= rate · gradient. It remembers nothing, and does not clip. */
public final class ToySgd implements Optimizer, OptimizerFactory {
    /** For the service loader, too. */
    public ToySgd() {}

    @Override
    public String optim() {
        return "toy";
    }

    @Override
    public Optimizer create(OptimizerSettings settings) {
        if (settings.weightDecay() != 0) {
            throw new InputException("training arguments", "weight_decay", String.valueOf(settings.weightDecay()),
                    "0, since the toy has no weight decay");
        }
        if (settings.maxGradNorm() != 0) {
            throw new InputException("training arguments", "max_grad_norm", String.valueOf(settings.maxGradNorm()),
                    "0, since the toy does not clip");
        }
        return this;
    }

    @Override
    public OptimizerState attach(Stream stream, List<? extends Trainable> trainables) {
        return new State(trainables.stream().flatMap(t -> t.trained(stream).stream()).toList());
    }

    private static final class State implements OptimizerState {
        private final List<TrainedParameters> parameters;
        private ToDoubleFunction<ParameterGroup> rates;

        State(List<TrainedParameters> parameters) {
            this.parameters = parameters;
        }

        @Override
        public void prepare(Stream stream, long step, ToDoubleFunction<ParameterGroup> learningRates) {
            rates = learningRates;
        }

        @Override
        public void update(Stream stream, StepState step) {
            stream.synchronize();
            for (TrainedParameters p : parameters) {
                float rate = (float) rates.applyAsDouble(p.group());
                if (p instanceof DenseParameters dense) {
                    for (long i = 0; i < dense.values().elements(); i++) {
                        descend(dense.values(), i, rate * dense.gradient().getFloat(i));
                    }
                } else if (p instanceof SelectedLogits logits) { // whose owner selects anew
                    int[] indices = logits.indices().toInts();
                    int topk = logits.shape().topk();
                    for (int i = 0; i < indices.length; i++) {
                        descend(logits.values(), (long) (i / topk) * logits.shape().numVectors() + indices[i],
                                rate * logits.gradient().getFloat(i));
                    }
                }
            }
        }

        @Override
        public void updated(Stream stream) {}

        private static void descend(Tensor values, long i, float step) {
            values.setFloat(i, values.getFloat(i) - step);
        }

        @Override
        public OptimizerTensors tensors(Stream stream) {
            return new OptimizerTensors(Map.of());
        }

        @Override
        public void load(Stream stream, Map<String, Map<String, Tensor>> tensors) {}

        @Override
        public void close() {}
    }
}
