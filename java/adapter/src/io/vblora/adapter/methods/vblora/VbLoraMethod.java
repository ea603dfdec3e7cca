package io.vblora.adapter.methods.vblora;

import io.vblora.JsonFields;
import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.MethodOption;
import io.vblora.adapter.MethodSwitch;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.parameters.ParameterGroup;
import java.util.List;
import java.util.Optional;

/** VB-LoRA. */
public final class VbLoraMethod implements AdapterMethod {
    public static final VbLoraMethod INSTANCE = new VbLoraMethod();

    /** The vector bank; its learning rate is the paper's. */
    public static final ParameterGroup VECTOR_BANK =
            new ParameterGroup("vector bank", "learning_rate_vector_bank", 1e-3, true);

    /** The logits; their learning rate is the paper's. */
    public static final ParameterGroup LOGITS = new ParameterGroup("logits", "learning_rate_logits", 1e-2, true);

    static final StoredForm ALL_LOGITS = new StoredForm("with_all_logits", "with all logits",
            List.of(VbLoraKeys.LOGITS_A, VbLoraKeys.LOGITS_B), List.of(VbLoraKeys.VECTOR_BANK));

    static final StoredForm ONLY_TOPK_WEIGHTS = new StoredForm("with_only_topk_weights",
            "with only top-k weights", List.of(
                    VbLoraKeys.LOGITS_A + VbLoraKeys.TOPK_INDICES, VbLoraKeys.LOGITS_A + VbLoraKeys.TOPK_WEIGHTS,
                    VbLoraKeys.LOGITS_B + VbLoraKeys.TOPK_INDICES, VbLoraKeys.LOGITS_B + VbLoraKeys.TOPK_WEIGHTS),
            List.of(VbLoraKeys.VECTOR_BANK));

    private VbLoraMethod() {}

    @Override
    public String peftType() {
        return "VBLORA";
    }

    @Override
    public String title() {
        return "VB-LoRA";
    }

    @Override
    public VbLoraConfig config(JsonFields fields) {
        return new VbLoraConfig(fields);
    }

    @Override
    public VbLoraConfig.Builder builder() {
        return VbLoraConfig.builder();
    }

    @Override
    public List<ParameterGroup> groups() {
        return List.of(VECTOR_BANK, LOGITS);
    }

    @Override
    public List<MethodOption> options() {
        VbLoraConfig defaults = builder().build();
        return List.of(
                MethodOption.of("num_vectors", "N", defaults.numVectors(),
                        "vectors in the bank, h (default: ${DEFAULT-VALUE})."),
                new MethodOption("vector_length", "N", defaults.vectorLength(), true,
                        "elements of a bank vector, b; must divide every dimension of the adapted modules. "
                                + "auto is the largest up to the paper's 256 that does (default: auto, or that of "
                                + "--init-adapter)."),
                MethodOption.of("topk", "N", defaults.topk(),
                        "bank vectors mixed into each sub-vector, k (default: ${DEFAULT-VALUE})."),
                MethodOption.of("vblora_dropout", "P", defaults.dropout(), "probability of dropout on the "
                        + "input of the updates while training (default: ${DEFAULT-VALUE})."),
                MethodOption.of("init_vector_bank_bound", "X", defaults.initVectorBankBound(),
                        "the bank is initialised uniformly in [-X, X] (default: ${DEFAULT-VALUE})."),
                MethodOption.of("init_logits_std", "X", defaults.initLogitsStd(), "standard deviation of the "
                        + "normal distribution of initial logits (default: ${DEFAULT-VALUE})."));
    }

    @Override
    public List<MethodOption> learningRates() {
        return List.of(
                MethodOption.of(VECTOR_BANK.learningRate(), "RATE", VECTOR_BANK.defaultLearningRate(),
                        "learning rate of the vector bank (default: ${DEFAULT-VALUE}, the paper's)."),
                MethodOption.of(LOGITS.learningRate(), "RATE", LOGITS.defaultLearningRate(),
                        "learning rate of the logits (default: ${DEFAULT-VALUE}, the paper's)."));
    }

    @Override
    public List<StoredForm> forms() {
        return List.of(ALL_LOGITS, ONLY_TOPK_WEIGHTS);
    }

    @Override
    public Optional<MethodSwitch> compactForm() {
        return Optional.of(new MethodSwitch("save_only_topk_weights", "store the selected indices and weights instead "
                + "of all logits, which is small, but for inference alone."));
    }
}
