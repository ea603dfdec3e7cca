package io.vblora.adapter.methods.lora;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.BaseWeights;
import io.vblora.adapter.Composition;
import io.vblora.adapter.ModuleNumbers;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.PackedLayout;
import io.vblora.adapter.peft.PeftFile;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.adapter.peft.StoredTensor;
import io.vblora.kernels.Stream;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** PEFT's {@code LoraConfig}: plain low-rank updates (Hu et al., 2021, arXiv 2106.09685), the baseline. */
public final class LoraConfig extends AdapterConfig {
    /** Keys that have an effect, or would only have one together with other keys. */
    private static final Set<String> KEYS = Set.of("alpha_pattern", "init_lora_weights", "lora_alpha", "lora_dropout",
            "megatron_core", "qalora_group_size", "rank_pattern", "use_rslora");

    /** Keys of variants whose adapters compute something else, with what messages call these. */
    private static final Map<String, String> UNSUPPORTED = Map.ofEntries(
            Map.entry("alora_invocation_tokens", "activated LoRA is"), Map.entry("arrow_config", "Arrow is"),
            Map.entry("kasa_config", "KaSA is"), Map.entry("layer_replication", "replicated layers are"),
            Map.entry("lora_bias", "biases of B are"), Map.entry("megatron_config", "Megatron's layers are"),
            Map.entry("monteclora_config", "MonteCLoRA is"),
            Map.entry("target_parameters", "updates of parameters outside linear layers are"),
            Map.entry("trainable_token_indices", "trained tokens are"), Map.entry("use_bdlora", "BD-LoRA is"),
            Map.entry("use_dora", "DoRA is"), Map.entry("use_qalora", "QA-LoRA is"),
            Map.entry("velora_config", "VeLoRA is"));

    /** Details of how PEFT initialised, of which only the resulting tensors are left. */
    private static final Set<String> OF_THE_BEGINNING =
            Set.of("corda_config", "eva_config", "loftq_config", "lora_ga_config");

    /** Ways to initialise that leave the base weights as they are. */
    private static final Set<String> INITS = Set.of("gaussian", "eva", "orthogonal");

    private static final Set<String> ALL_KEYS = java.util.stream.Stream.of(KEYS, UNSUPPORTED.keySet(), OF_THE_BEGINNING,
            Set.of("runtime_config", "ensure_weight_tying")).flatMap(Set::stream)
            .collect(Collectors.toUnmodifiableSet());

    private final double loraAlpha;
    private final boolean useRslora;
    private final boolean defaultInit;
    private final ModuleNumbers ranks;
    private final ModuleNumbers alphas;

    LoraConfig(JsonFields fields) {
        super(fields, 8, "lora_dropout", ALL_KEYS);
        this.loraAlpha = fields.number("lora_alpha", 0, Float.MAX_VALUE, 8);
        this.useRslora = fields.bool("use_rslora", false);
        JsonNode init = fields.object().path("init_lora_weights");
        if (!(init.isMissingNode() || init.isNull() || init.isBoolean() || INITS.contains(init.asText()))) {
            throw fields.wrong("init_lora_weights", "true, false, \"gaussian\", \"eva\" or \"orthogonal\": with others "
                    + "the base model's weights change, or B is not trained");
        }
        this.defaultInit = !fields.has("init_lora_weights") || init.isBoolean() && init.booleanValue();
        this.ranks = ModuleNumbers.of(fields, "rank_pattern", (values, key) -> values.integer(key, 1, MAX_R));
        this.alphas = ModuleNumbers.of(fields, "alpha_pattern", (values, key) -> values.number(key, 0,
                Float.MAX_VALUE));
        requireUnset(fields, UNSUPPORTED);
        for (String key : new TreeSet<>(OF_THE_BEGINNING)) {
            noteWithoutEffect(key, "it says how PEFT began to train");
        }
        noteWithoutEffect("runtime_config", "it is about PEFT's own memory");
        if (fields.bool("ensure_weight_tying", false)) {
            if (modules().namesTiedEmbedding()) {
                throw fields.wrong("ensure_weight_tying", "false, as target_modules or modules_to_save name an "
                        + "embedding or the output head: updates that both share are not supported");
            }
            noteWithoutEffect("ensure_weight_tying", "as neither an embedding nor the output head is adapted");
        }
    }

    @Override
    public LoraMethod method() {
        return LoraMethod.INSTANCE;
    }

    @Override
    public Map<String, Object> facts() {
        Map<String, Object> facts = new LinkedHashMap<>();
        for (String key : List.of("rank_pattern", "alpha_pattern")) {
            JsonNode pattern = json().path(key);
            if (!pattern.isEmpty()) {
                facts.put(key, pattern);
            }
        }
        return facts;
    }

    @Override
    protected ModuleShape shape(String path, PeftFile file, BaseWeights base) {
        int r = r(path);
        String keys = r == r() ? "r" : "rank_pattern";
        long in = file.expect(PeftKeys.of(path, PeftKeys.LORA_A), keys, r, -1).get(1);
        long out = file.expect(PeftKeys.of(path, PeftKeys.LORA_B), keys, -1, r).get(0);
        if (in < 1 || out < 1) {
            throw file.wrong(path, "a module from " + in + " to " + out + " features", "at least 1");
        }
        return new ModuleShape(path, in, out);
    }

    @Override
    protected List<StoredTensor> stored(List<ModuleShape> modules, StoredForm form) {
        return StoredTensor.of(PackedLayout.of(this, modules));
    }

    @Override
    protected Composition create(List<ModuleShape> modules, BaseWeights base, Stream stream, long seed) {
        if (!defaultInit) {
            throw new InputException(source(), "init_lora_weights", json().get("init_lora_weights").toString(),
                    "true: new adapters begin with A kaiming-uniform and B zero");
        }
        LoraComposition composition = new LoraComposition(stream.device(), this, modules);
        composition.initialize(seed);
        return composition;
    }

    @Override
    protected Composition read(List<ModuleShape> modules, PeftFile file, BaseWeights base, Stream stream) {
        LoraComposition composition = new LoraComposition(stream.device(), this, modules);
        try {
            file.readFinite(composition.layout(), composition.values());
            composition.changed();
            return composition;
        } catch (RuntimeException | Error e) {
            composition.close();
            throw e;
        }
    }

    public double loraAlpha() {
        return loraAlpha;
    }

    /** Whether the update is scaled by lora_alpha / sqrt(r) instead of lora_alpha / r. */
    public boolean useRslora() {
        return useRslora;
    }

    /** The factor of the updates, except for modules that {@code rank_pattern} or {@code alpha_pattern} names. */
    public double scaling() {
        return scaling(loraAlpha, r());
    }

    @Override
    public double scaling(String path) {
        return scaling(alphas.value(path, loraAlpha), r(path));
    }

    private double scaling(double alpha, int rank) {
        return alpha / (useRslora ? Math.sqrt(rank) : rank);
    }

    @Override
    public int r(String path) {
        return (int) ranks.value(path, r());
    }

    @Override
    protected List<String> notes(List<String> adapted) {
        return java.util.stream.Stream.of(super.notes(adapted).stream(), ranks.notes(adapted), alphas.notes(adapted))
                .flatMap(notes -> notes).toList();
    }

    public static Builder builder() {
        ObjectNode json = AdapterConfig.Builder.defaults(LoraMethod.INSTANCE.peftType(), 8);
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
        protected Builder self() {
            return this;
        }

        @Override
        public LoraConfig build() {
            return new LoraConfig(fields("LoraConfig"));
        }

        /** Sets a key. As in PEFT, lora_alpha is written as a whole number where possible. */
        @Override
        public Builder set(String key, JsonNode value) {
            double number = value.doubleValue();
            boolean whole = value.isDouble() && number == Math.rint(number) && Math.abs(number) < 1e9;
            return super.set(key, key.equals("lora_alpha") && whole ? JsonNodeFactory.instance.numberNode((int) number)
                    : value);
        }

        public Builder loraAlpha(double value) {
            return set("lora_alpha", value);
        }

        /**
         * Gives ranks of their own to modules whose path is, or ends with "." and, a text that a regular expression
         * matches. The first expression that matches decides.
         */
        public Builder rankPattern(Map<String, Integer> ranks) {
            ObjectNode values = JsonNodeFactory.instance.objectNode();
            ranks.forEach(values::put);
            return set("rank_pattern", values);
        }

        /** Gives some modules a {@code lora_alpha} of their own, as {@link #rankPattern} gives ranks. */
        public Builder alphaPattern(Map<String, Double> alphas) {
            ObjectNode values = JsonNodeFactory.instance.objectNode();
            alphas.forEach(values::put);
            return set("alpha_pattern", values);
        }

        public Builder loraDropout(double value) {
            return set("lora_dropout", value);
        }

        public Builder useRslora(boolean value) {
            return set("use_rslora", value);
        }
    }
}
