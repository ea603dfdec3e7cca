package io.vblora.train;

import io.vblora.InputException;
import io.vblora.ServicesException;
import io.vblora.adapter.WholeParameters;
import io.vblora.optimizer.Optimizer;
import io.vblora.optimizer.OptimizerFactory;
import io.vblora.optimizer.OptimizerSettings;
import io.vblora.optimizer.Optimizers;
import io.vblora.parameters.ParameterGroup;
import java.util.Collections;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import picocli.CommandLine.Option;

/**
 * How parameters are updated: the optimizer, the learning rates, and the constants of optimizers and of clipping.
 *
 * @param optim name of the optimizer, one of {@link Optimizers#names}
 * @param learningRates base learning rates by name, such as {@code learning_rate_head}
 * @param weightDecay decoupled weight decay, for all parameters except biases and norms
 * @param adamBeta1 AdamW's beta1, in [0, 1)
 * @param adamBeta2 AdamW's beta2, in [0, 1)
 * @param adamEpsilon AdamW's epsilon, above 0
 * @param maxGradNorm global norm to which gradients are clipped; 0 means no clipping
 */
public record OptimizerArguments(String optim, Map<String, Double> learningRates, double weightDecay,
        double adamBeta1, double adamBeta2, double adamEpsilon, double maxGradNorm) {

    /** @throws InputException if a value is out of range, or the optimizer cannot do what the values say */
    public OptimizerArguments {
        learningRates = Collections.unmodifiableMap(new LinkedHashMap<>(learningRates));
        learningRates.forEach(TrainingArguments::requireNotNegative);
        TrainingArguments.requireNotNegative("weight_decay", weightDecay);
        TrainingArguments.require(adamBeta1 >= 0 && adamBeta1 < 1, "adam_beta1", adamBeta1, "a number in [0, 1)");
        TrainingArguments.require(adamBeta2 >= 0 && adamBeta2 < 1, "adam_beta2", adamBeta2, "a number in [0, 1)");
        TrainingArguments.require(adamEpsilon > 0 && Double.isFinite(adamEpsilon), "adam_epsilon", adamEpsilon,
                "a number above 0");
        TrainingArguments.requireNotNegative("max_grad_norm", maxGradNorm);
        create(optim, new OptimizerSettings(weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm));
    }

    /** The base learning rate of a group, which is the group's own default if none is set. */
    public double learningRate(ParameterGroup group) {
        return learningRates.getOrDefault(group.learningRate(), group.defaultLearningRate());
    }

    /** The optimizer with these arguments. */
    public Optimizer create() {
        return create(optim, new OptimizerSettings(weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm));
    }

    private static Optimizer create(String optim, OptimizerSettings settings) {
        OptimizerFactory factory = Optimizers.named(optim).orElseThrow(() -> new InputException("training arguments",
                "optim", optim, "one of " + String.join(", ", Optimizers.names())));
        Optimizer optimizer = factory.create(settings);
        if (optimizer == null) {
            throw new ServicesException("A service cannot be used: " + factory.getClass().getName()
                    + " makes no optimizer");
        }
        return optimizer;
    }

    /** The options and their defaults. The default of a learning rate is that of its group. */
    static final class Options {
        /** Names of all optimizers, for help. */
        static final class Names implements Iterable<String> {
            @Override
            public Iterator<String> iterator() {
                return Optimizers.names().iterator();
            }
        }

        @Option(names = "--learning-rate", paramLabel = "RATE",
                description = "Learning rate of the updates, unless their method has rates of its own, and of the base "
                        + "model's biases (--bias) and modules (--modules-to-save) with any method (default: "
                        + "${DEFAULT-VALUE}).")
        double learningRate = ParameterGroup.MATRICES.defaultLearningRate();

        @Option(names = "--learning-rate-head", paramLabel = "RATE",
                description = "Sequences: learning rate of the head (default: ${DEFAULT-VALUE}).")
        double learningRateHead = WholeParameters.HEAD_MATRICES.defaultLearningRate();

        @Option(names = "--optim", paramLabel = "NAME", completionCandidates = Names.class,
                description = "Optimizer, of those that are installed: ${COMPLETION-CANDIDATES} "
                        + "(default: ${DEFAULT-VALUE}).")
        String optim = Optimizers.DEFAULT;

        @Option(names = "--weight-decay", paramLabel = "X",
                description = "Weight decay, for everything except biases and norms (default: ${DEFAULT-VALUE}).")
        double weightDecay;

        /** Learning rates that have other names. */
        final Map<String, Double> learningRates = new LinkedHashMap<>();

        double adamBeta1 = 0.9;
        double adamBeta2 = 0.999;
        double adamEpsilon = 1e-8;

        @Option(names = "--max-grad-norm", paramLabel = "NORM",
                description = "Clip gradients to this global 2-norm; 0 turns clipping off (default: "
                        + "${DEFAULT-VALUE}).")
        double maxGradNorm = 1;

        OptimizerArguments build() {
            Map<String, Double> rates = new LinkedHashMap<>();
            rates.put(ParameterGroup.MATRICES.learningRate(), learningRate);
            rates.put(WholeParameters.HEAD_MATRICES.learningRate(), learningRateHead);
            rates.putAll(learningRates);
            return new OptimizerArguments(optim, rates, weightDecay, adamBeta1, adamBeta2, adamEpsilon, maxGradNorm);
        }
    }
}
