package io.vblora.bench;

import io.vblora.adapter.AdaptedModule;
import io.vblora.kernels.Tensor;
import io.vblora.parameters.NamedTensors;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.TensorVector;

/**
 * That ours and libtorch compute the same: a few steps of both, side by side from the same parameters and gradients.
 * Sums are rounded differently, so numbers agree to a bound; what is selected is the same.
 */
final class Agreement {
    static final String VECTOR_BANK = "base_model.vblora_vector_bank";

    private static final int STEPS = 3;
    /**
     * Largest difference allowed of matrices and gradients, relative to the largest number of the tensor. It leaves
     * room for what the parameters already differ by.
     */
    private static final double BOUND = 1e-4;
    /**
     * Largest difference allowed of parameters, relative to the learning rate. AdamW divides a gradient by its own
     * size, which makes much of the rounding of one that is nearly zero.
     */
    private static final double PARAMETER_BOUND = 1e-2;

    private final Map<String, Double> largest = new LinkedHashMap<>();

    private Agreement() {}

    /** Name of a module's logits in PEFT's files. */
    static String logitsA(AdaptedModule module) {
        return "base_model.model." + module.path() + ".vblora_logits_A";
    }

    static String logitsB(AdaptedModule module) {
        return "base_model.model." + module.path() + ".vblora_logits_B";
    }

    /**
     * Runs a few steps of both.
     *
     * @return the largest differences, for a person
     * @throws IllegalStateException if ours and libtorch do not agree
     */
    static String check(VbLoraStep ours, PeftStep peft, Gradients gradients) {
        Agreement agreement = new Agreement();
        for (int step = 1; step <= STEPS; step++) {
            agreement.step(ours, peft, gradients.next());
        }
        return STEPS + " steps agree: " + agreement.largest.entrySet().stream()
                .map(entry -> String.format("%s %.0e", entry.getKey(), entry.getValue()))
                .collect(Collectors.joining("; "));
    }

    private void step(VbLoraStep ours, PeftStep peft, Tensor gradient) {
        List<AdaptedModule> modules = ours.adapter().modules();
        ours.setGradient(gradient);
        peft.setGradient(gradient);
        try (PointerScope scope = new PointerScope()) {
            TensorVector matrices = peft.forward();
            for (int i = 0; i < modules.size(); i++) {
                compare("A", modules.get(i).a(), matrices.get(2 * i));
                compare("B", modules.get(i).bt(), matrices.get(2 * i + 1).t());
            }
            ours.backward();
            peft.backward(matrices);
            try (NamedTensors own = ours.composition().gradients(ours.stream())) {
                compare("bank's gradient", own.get(VECTOR_BANK), peft.bank().grad());
                for (int i = 0; i < modules.size(); i++) {
                    PeftStep.Module module = peft.modules().get(i);
                    compareSparse(own.get(logitsA(modules.get(i))), module.logitsA().grad());
                    compareSparse(own.get(logitsB(modules.get(i))), module.logitsB().grad());
                }
            }
            ours.update();
            peft.update();
            NamedTensors own = ours.composition().parameters(ours.stream());
            compare("bank, of its learning rate", own.get(VECTOR_BANK), peft.bank(), PARAMETER_BOUND,
                    VbLoraStep.LEARNING_RATE_VECTOR_BANK);
            for (int i = 0; i < modules.size(); i++) {
                compareLogits(own.get(logitsA(modules.get(i))), peft.modules().get(i).logitsA());
                compareLogits(own.get(logitsB(modules.get(i))), peft.modules().get(i).logitsB());
            }
            ours.zeroGradient();
            peft.zeroGrad();
        }
    }

    /** Besides, the same logits have a gradient: the selection is the same. */
    private void compareSparse(Tensor ours, org.bytedeco.pytorch.Tensor theirs) {
        float[] own = ours.toFloats();
        float[] other = floats(theirs);
        for (int i = 0; i < own.length; i++) {
            if ((own[i] == 0) != (other[i] == 0)) {
                throw new IllegalStateException("Logit " + i + " has gradient " + own[i] + " here and " + other[i]
                        + " in libtorch: another selection");
            }
        }
        compare("logits' gradient", ours, theirs);
    }

    private void compareLogits(Tensor ours, org.bytedeco.pytorch.Tensor theirs) {
        compare("logits, of their learning rate", ours, theirs, PARAMETER_BOUND, VbLoraStep.LEARNING_RATE_LOGITS);
    }

    private void compare(String what, Tensor ours, org.bytedeco.pytorch.Tensor theirs) {
        compare(what, ours, theirs, BOUND, theirs.abs().max().item_double());
    }

    private void compare(String what, Tensor ours, org.bytedeco.pytorch.Tensor theirs, double bound, double unit) {
        float[] own = ours.toFloats();
        float[] other = floats(theirs);
        double difference = 0;
        for (int i = 0; i < own.length; i++) {
            double d = Math.abs((double) own[i] - other[i]);
            difference = d > difference || Double.isNaN(d) ? d : difference;
        }
        if (!(difference <= bound * unit)) {  // NaN, too
            throw new IllegalStateException(what + ": differs from libtorch's by " + difference / unit
                    + "; expected at most " + bound);
        }
        largest.merge(what, difference / unit, Math::max);
    }

    private static float[] floats(org.bytedeco.pytorch.Tensor tensor) {
        float[] values = new float[(int) tensor.numel()];
        tensor.contiguous().data_ptr_float().get(values);
        return values;
    }
}
