package io.vblora.adapter.methods.toy;

import io.vblora.JsonFields;
import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.MethodOption;
import io.vblora.adapter.MethodSource;
import io.vblora.adapter.MethodSwitch;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.parameters.ParameterGroup;
import java.util.List;
import java.util.Optional;

/**
 * The smallest method: A and B are the first r rows and columns of the base weight and stay so; a matrix R [r, r]
 * between them is trained: W + B R A.
 */
public final class ToyMethod implements AdapterMethod, MethodSource {
    static final String A = ".toy_A";
    static final String B = ".toy_B";
    static final String R = ".toy_R";

    static final ParameterGroup GROUP = new ParameterGroup("toy", "learning_rate_toy", 0.01, true);
    static final StoredForm FORM = new StoredForm("with_r", "with A, B and R", List.of(A, B, R), List.of());
    /** A and B are taken from the base model again. */
    static final StoredForm ONLY_R = new StoredForm("with_only_r", "with only R", List.of(R), List.of());

    /** For the service loader. */
    public ToyMethod() {}

    @Override
    public List<AdapterMethod> methods() {
        return List.of(this);
    }

    @Override
    public String peftType() {
        return "TOY";
    }

    @Override
    public String title() {
        return "Toy";
    }

    @Override
    public ToyConfig config(JsonFields fields) {
        return new ToyConfig(this, fields);
    }

    @Override
    public ToyConfig.Builder builder() {
        return new ToyConfig.Builder(this);
    }

    @Override
    public List<ParameterGroup> groups() {
        return List.of(GROUP);
    }

    @Override
    public int defaultRank() {
        return 3;
    }

    @Override
    public List<MethodOption> options() {
        return List.of(MethodOption.of("toy_scale", "X", 1.0, "factor of the updates."),
                MethodOption.of("lora_dropout", "P", 0.25, "probability of dropout (default: ${DEFAULT-VALUE})."));
    }

    @Override
    public List<MethodOption> learningRates() {
        return List.of(MethodOption.of(GROUP.learningRate(), "RATE", GROUP.defaultLearningRate(),
                "learning rate of R."));
    }

    @Override
    public List<StoredForm> forms() {
        return List.of(FORM, ONLY_R);
    }

    @Override
    public Optional<MethodSwitch> compactForm() {
        return Optional.of(new MethodSwitch("toy_only_r", "store R alone."));
    }
}
