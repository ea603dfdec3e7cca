package io.vblora.optimizer.adamw;

import io.vblora.kernels.Stream;
import io.vblora.kernels.ops.AdamWGroups;
import io.vblora.optimizer.Optimizer;
import io.vblora.optimizer.OptimizerState;
import io.vblora.parameters.DenseParameters;
import io.vblora.parameters.ParameterGroup;
import io.vblora.parameters.SelectedLogits;
import io.vblora.parameters.Trainable;
import io.vblora.parameters.TrainedParameters;
import java.util.List;

/**
 * AdamW (Loshchilov, Hutter, ICLR 2019). Logits of a large bank that do not decay are updated by active sets, which
 * give the same bits with a fraction of the memory traffic.
 */
public final class AdamW implements Optimizer {
    /** PyTorch's names of the moments, also those in {@link OptimizerState#tensors}. */
    public static final String EXP_AVG = "exp_avg";
    public static final String EXP_AVG_SQ = "exp_avg_sq";

    /** Active sets are used for the logits of banks with at least this number of vectors. */
    public static final int ACTIVE_SET_NUM_VECTORS = 256;
    /** The number of entries for which a row's list has room at first. */
    private static final int ACTIVE_SET_CAPACITY = 64;

    private final double beta1;
    private final double beta2;
    private final double epsilon;
    private final double weightDecay;
    private final int activeSetNumVectors;
    private final int activeSetCapacity;

    /** @param weightDecay decoupled weight decay, for the groups that decay */
    public AdamW(double beta1, double beta2, double epsilon, double weightDecay) {
        this(beta1, beta2, epsilon, weightDecay, ACTIVE_SET_NUM_VECTORS, ACTIVE_SET_CAPACITY);
    }

    AdamW(double beta1, double beta2, double epsilon, double weightDecay, int activeSetNumVectors,
            int activeSetCapacity) {
        this.beta1 = beta1;
        this.beta2 = beta2;
        this.epsilon = epsilon;
        this.weightDecay = weightDecay;
        this.activeSetNumVectors = activeSetNumVectors;
        this.activeSetCapacity = activeSetCapacity;
    }

    @Override
    public OptimizerState attach(Stream stream, List<? extends Trainable> trainables) {
        List<TrainedParameters> parameters = trainables.stream().flatMap(t -> t.trained(stream).stream()).toList();
        List<ParameterGroup> groups = parameters.stream().map(TrainedParameters::group).distinct().toList();
        AdamWState state = new AdamWState(stream.device(), groups, this);
        try {
            for (TrainedParameters p : parameters) {
                state.add(moments(stream, p, groups.indexOf(p.group())));
            }
            return state;
        } catch (RuntimeException | Error e) {
            try {
                state.close();
            } catch (RuntimeException closing) {
                e.addSuppressed(closing);
            }
            throw e;
        }
    }

    private Moments moments(Stream stream, TrainedParameters parameters, int group) {
        if (parameters instanceof DenseParameters dense) {
            return new DenseMoments(stream, dense, group);
        }
        SelectedLogits logits = (SelectedLogits) parameters;
        boolean decays = weightDecay != 0 && logits.group().decays();
        return !decays && logits.shape().numVectors() >= activeSetNumVectors
                ? new ActiveMoments(stream, logits, group, activeSetCapacity)
                : new LogitsMoments(stream, logits, group);
    }

    /** Sets the constants of a group in a step. */
    void set(AdamWGroups constants, int number, long step, ParameterGroup group, double learningRate) {
        constants.set(number, step, learningRate, beta1, beta2, epsilon, group.decays() ? weightDecay : 0);
    }
}
