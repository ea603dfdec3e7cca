package io.vblora.adapter;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.JsonFields;
import java.util.Set;

/** PEFT's {@code LoraConfig}: plain low-rank updates (Hu et al., 2021, arXiv 2106.09685), the baseline. */
public final class LoraConfig extends AdapterConfig {
    static final String PEFT_TYPE = "LORA";

    /** Variants whose adapters compute something else. */
    private static final Set<String> UNSUPPORTED = Set.of("alora_invocation_tokens", "alpha_pattern", "arrow_config",
            "kasa_config", "layer_replication", "lora_bias", "megatron_config", "monteclora_config", "rank_pattern",
            "target_parameters", "trainable_token_indices", "use_bdlora", "use_dora", "use_qalora", "velora_config");

    /** Ways to begin that leave the base weights as they are. */
    private static final Set<String> INITS = Set.of("gaussian", "eva", "orthogonal");

    private final double loraAlpha;
    private final boolean useRslora;
    private final boolean defaultInit;

    LoraConfig(JsonFields fields) {
        super(fields, 8, "lora_dropout");
        this.loraAlpha = fields.number("lora_alpha", 0, Float.MAX_VALUE, 8);
        this.useRslora = fields.bool("use_rslora", false);
        JsonNode init = fields.object().path("init_lora_weights");
        if (!(init.isMissingNode() || init.isNull() || init.isBoolean() || INITS.contains(init.asText()))) {
            throw fields.wrong("init_lora_weights", "true or false: others change the base model's weights");
        }
        this.defaultInit = !fields.has("init_lora_weights") || init.isBoolean() && init.booleanValue();
        requireUnset(fields, UNSUPPORTED);
    }

    @Override
    public String peftType() {
        return PEFT_TYPE;
    }

    public double loraAlpha() {
        return loraAlpha;
    }

    /** Whether the update is scaled by lora_alpha / sqrt(r) instead of lora_alpha / r. */
    public boolean useRslora() {
        return useRslora;
    }

    /** Whether a new adapter begins with A kaiming-uniform and B zero, the only way it can be created here. */
    boolean defaultInit() {
        return defaultInit;
    }

    /** Factor of every update. */
    public double scaling() {
        return loraAlpha / (useRslora ? Math.sqrt(r()) : r());
    }

    public static Builder builder() {
        ObjectNode json = AdapterConfig.Builder.defaults(PEFT_TYPE, 8);
        json.put("lora_alpha", 8).put("lora_dropout", 0.0).put("use_rslora", false).put("init_lora_weights", true);
        return new Builder(json);
    }

    /** A builder that begins with this configuration. */
    public Builder toBuilder() {
        return new Builder(json());
    }

    /** Builds a {@link LoraConfig}. */
    public static final class Builder extends AdapterConfig.Builder<Builder> {
        private Builder(ObjectNode json) {
            super(json);
        }

        @Override
        Builder self() {
            return this;
        }

        @Override
        public LoraConfig build() {
            return new LoraConfig(fields("LoraConfig"));
        }

        public Builder loraAlpha(double value) {
            return value == Math.rint(value) && Math.abs(value) < 1e9 ? set("lora_alpha", (int) value)
                    : set("lora_alpha", value);
        }

        public Builder loraDropout(double value) {
            return set("lora_dropout", value);
        }

        public Builder useRslora(boolean value) {
            return set("use_rslora", value);
        }
    }
}
