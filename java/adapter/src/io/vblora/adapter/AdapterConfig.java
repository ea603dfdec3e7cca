package io.vblora.adapter;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.core.util.Separators;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.PrintableText;
import io.vblora.adapter.peft.PeftFile;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.adapter.peft.StoredTensor;
import io.vblora.kernels.Stream;
import io.vblora.weights.AtomicFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * The configuration of an adapter, with PEFT's keys, defaults and meanings: the content of {@code adapter_config.json}.
 * Keys that are not known here are kept and written again, but have no effect, as {@link #notes} says. Immutable.
 *
 * <p>A method's configuration also makes what depends on it: the composition, which is new or read from a file, and the
 * list of tensors in which that is stored.
 */
public abstract class AdapterConfig {
    /** Name of the file in an adapter's folder. */
    public static final String FILE_NAME = PeftKeys.CONFIG_FILE;

    /** Larger ranks are refused, since nobody can mean them. */
    protected static final int MAX_R = 1 << 16;

    private static final List<String> TASK_TYPES =
            List.of("SEQ_CLS", "SEQ_2_SEQ_LM", "CAUSAL_LM", "TOKEN_CLS", "QUESTION_ANS", "FEATURE_EXTRACTION");

    /** The keys of every method. Those that have no effect here tell where the adapter comes from. */
    private static final Set<String> KEYS = Set.of("auto_mapping", "base_model_name_or_path", "bias", "exclude_modules",
            "fan_in_fan_out", "inference_mode", "layers_pattern", "layers_to_transform", "modules_to_save", "peft_type",
            "peft_version", "r", "revision", "target_modules", "task_type");

    private static final JsonMapper MAPPER = new JsonMapper();

    private final JsonFields fields;
    private final int r;
    private final double dropout;
    private final ModuleSelector modules;
    private final boolean fanInFanOut;
    private final List<String> notes = new ArrayList<>();

    /** @param methodKeys the keys that PEFT's configuration of this method has beside those of all methods */
    protected AdapterConfig(JsonFields fields, int defaultR, String dropoutKey, Set<String> methodKeys) {
        this.fields = fields;
        this.r = (int) fields.integer("r", 1, MAX_R, defaultR);
        this.dropout = fields.number(dropoutKey, 0, 1, 0);
        if ((float) dropout == 1) { // as the kernels take it
            throw fields.wrong(dropoutKey, "a probability from 0, below 1 in float32");
        }
        this.fanInFanOut = fields.bool("fan_in_fan_out", false);
        this.modules = ModuleSelector.of(fields);
        if (fields.has("task_type") && !TASK_TYPES.contains(fields.string("task_type"))) {
            throw fields.wrong("task_type", "one of " + String.join(", ", TASK_TYPES));
        }
        fields.string("base_model_name_or_path", null);
        if (modules.passesLayersBy()) {
            noteWithoutEffect("layers_to_transform", "as target_modules is not a list of names");
        }
        List<String> unknown = fields.object().properties().stream().map(Map.Entry::getKey)
                .filter(key -> isSet(fields, key) && !KEYS.contains(key) && !methodKeys.contains(key)).toList();
        if (!unknown.isEmpty()) {
            note(PrintableText.list(unknown) + ": without effect, not among the keys of " + fields.string("peft_type"));
        }
    }

    /**
     * Reads {@code adapter_config.json}.
     *
     * @param path the file, or the folder that holds it
     * @throws InputException naming file, key, what was found and what was expected
     */
    public static AdapterConfig read(Path path) {
        Path file = path.endsWith(FILE_NAME) ? path : path.resolve(FILE_NAME);
        AdapterFolder.files(file.resolveSibling("")).finish();
        return AdapterMethods.config(JsonFields.read(file));
    }

    /** Whether a key has a value other than null, false and empty lists or objects. */
    private static boolean isSet(JsonFields fields, String key) {
        JsonNode value = fields.object().path(key);
        return !(value.isMissingNode() || value.isNull() || value.isBoolean() && !value.booleanValue()
                || value.isContainerNode() && value.isEmpty());
    }

    /**
     * Refuses keys whose values would change what the adapter computes in a way not supported here.
     *
     * @param keys the keys, each with the subject and verb of a message
     */
    protected static void requireUnset(JsonFields fields, Map<String, String> keys) {
        new TreeMap<>(keys).forEach((key, what) -> {
            if (isSet(fields, key)) {
                throw fields.wrong(key, (fields.object().get(key).isBoolean() ? "false" : "null") + ": " + what
                        + " not supported");
            }
        });
    }

    /** Notes that a key has no effect, if it is set. */
    protected void noteWithoutEffect(String key, String why) {
        if (isSet(fields, key)) {
            note(key + ": without effect, " + why);
        }
    }

    private void note(String what) {
        notes.add(PrintableText.of(source() + ": " + what));
    }

    /** {@link #notes}, and what else is to be said if the modules with these paths are adapted. */
    protected List<String> notes(List<String> adapted) {
        return notes();
    }

    /**
     * What a user should know, as sentences without a full stop: which keys are set but have no effect here. Keys that
     * tell where an adapter comes from, such as {@code peft_version}, are not among them.
     */
    public List<String> notes() {
        return List.copyOf(notes);
    }

    /** The method that this configures. */
    public abstract AdapterMethod method();

    /** PEFT's name of the method, such as VBLORA. */
    public String peftType() {
        return method().peftType();
    }

    /** The method's own settings that people want to see, under PEFT's keys. */
    public Map<String, Object> facts() {
        return Map.of();
    }

    /**
     * A configuration in which settings that depend on the dimensions of a model have been chosen for that model.
     *
     * @param config the configuration with these settings
     * @param note a sentence without a full stop that says what was set, and why
     */
    public record Fitting(AdapterConfig config, String note) {}

    /**
     * Chooses the settings that {@linkplain MethodOption#isAuto options leave open} for a model; empty if the method
     * has no such settings.
     *
     * @param linears all linear layers of the model
     */
    public Optional<Fitting> fitting(List<ModuleShape> linears) {
        return Optional.empty();
    }

    /** The form in which the adapter's tensors are stored. */
    public StoredForm form() {
        return method().forms().get(0);
    }

    /**
     * Requires that an adapter with this configuration is stored with all that training needs.
     *
     * @param purpose what that is needed for, as messages put it: "to train it"
     * @throws InputException if it is stored in its method's compact form
     */
    public void requireTrainable(String purpose) {}

    /**
     * The form in which a file's tensors are stored.
     *
     * @throws InputException if the configuration names another form
     */
    protected StoredForm form(PeftFile file) {
        return form();
    }

    /** Sets the keys that say in which form the tensors are stored. */
    protected void setForm(ObjectNode json, StoredForm form) {}

    /**
     * The dimensions of a module, from the tensors that a file has of it.
     *
     * @param base for a method whose tensors do not tell the dimensions
     * @throws InputException if the tensors contradict this configuration
     */
    protected abstract ModuleShape shape(String path, PeftFile file, BaseWeights base);

    /**
     * The tensors that an adapter of these modules has in one of the method's forms. No composition is needed for that.
     *
     * @throws InputException if the configuration does not fit a module
     */
    protected abstract List<StoredTensor> stored(List<ModuleShape> modules, StoredForm form);

    /**
     * A new composition, initialised from a seed, with the same numbers in every run.
     *
     * @param base for a method whose updates begin from the base model's weights
     * @throws InputException if the configuration does not fit a module
     */
    protected abstract Composition create(List<ModuleShape> modules, BaseWeights base, Stream stream, long seed);

    /**
     * A composition with the parameters of a file, which has exactly the tensors that these modules have in the file's
     * form.
     *
     * @param base for a method that does not store what it makes of the base model's weights
     * @throws InputException if a tensor has another shape than this configuration demands, or holds numbers that it
     *         may not hold
     */
    protected abstract Composition read(List<ModuleShape> modules, PeftFile file, BaseWeights base, Stream stream);

    /** The rank of the updates, except for modules to which {@code rank_pattern} gives another one. */
    public int r() {
        return r;
    }

    /** Rank of the update of a module. */
    public int r(String path) {
        return r;
    }

    /** Factor of the update of a module. */
    public double scaling(String path) {
        return 1;
    }

    /** The probability of dropout on the input of the updates while training, such as {@code lora_dropout}. */
    public double dropout() {
        return dropout;
    }

    /**
     * Whether the base model stores its weights as [in, out], as GPT-2 does. Deltas of an adapter that belongs to no
     * model then have this shape, too; a model says itself how each weight is stored ({@link ModuleShape}).
     */
    public boolean fanInFanOut() {
        return fanInFanOut;
    }

    /** Which modules of a model are adapted, and which are trained whole. */
    public ModuleSelector modules() {
        return modules;
    }

    /** Names of the modules that are trained whole and saved beside the updates; empty if there are none. */
    public List<String> modulesToSave() {
        return modules.modulesToSave();
    }

    /**
     * Which of the base model's biases are trained beside the updates: none, all, or those of adapted layers, for which
     * there is {@linkplain AdapterMethod#biasOfAdapted a word of each method}.
     */
    public String bias() {
        return fields.string("bias", "none");
    }

    /** What {@link #bias} may be. */
    public static List<String> biases() {
        return Bias.words();
    }

    /** The base model's name or path, or null. */
    public String baseModelNameOrPath() {
        return fields.string("base_model_name_or_path", null);
    }

    /** PEFT's task type, for example CAUSAL_LM, or null. */
    public String taskType() {
        return fields.string("task_type", null);
    }

    /** The whole configuration as JSON, unknown keys included; a copy. */
    public ObjectNode json() {
        return fields.object().deepCopy();
    }

    /** What messages call the configuration: the file that it was read from, or the class that built it. */
    public String source() {
        return fields.source();
    }

    /** The method's compact form, or the one that can be trained on. */
    StoredForm form(boolean compact) {
        List<StoredForm> forms = method().forms();
        if (compact && forms.size() < 2) {
            throw new InputException(source(), "peft_type", peftType(), "a method that has a compact form");
        }
        return forms.get(compact ? 1 : 0);
    }

    /**
     * This configuration as PEFT writes it beside an adapter: with inference_mode true and the keys for the form set.
     *
     * @param baseWeightsFanInFanOut whether base weights are stored as [in, out], which is PEFT's fan_in_fan_out
     */
    AdapterConfig storedAs(StoredForm form, boolean baseWeightsFanInFanOut) {
        ObjectNode json = json();
        json.put("inference_mode", true);
        if (baseWeightsFanInFanOut != fanInFanOut) {
            json.put("fan_in_fan_out", baseWeightsFanInFanOut);
        }
        if (!form.equals(form())) {
            setForm(json, form);
        }
        return method().config(JsonFields.of(source(), json));
    }

    /**
     * This configuration as an adapter of some modules has it. If it depended on the model which modules these are,
     * {@code target_modules} now lists their paths, which mean the same for every other model, and in PEFT.
     */
    AdapterConfig withAdapted(List<String> paths) {
        if (!modules.dependsOnModel()) {
            return this;
        }
        ObjectNode json = json();
        paths.forEach(json.putArray("target_modules")::add);
        return method().config(JsonFields.of(source(), json));
    }

    /** Creates or replaces a file with this configuration, formatted as PEFT formats it. */
    public void write(Path file) {
        AtomicFile.write(file, toString().getBytes(StandardCharsets.UTF_8));
    }

    /**
     * The JSON text, formatted as PEFT formats it: with sorted keys, and indented by two spaces. Objects inside keep
     * their order, which has a meaning in {@code rank_pattern} and {@code alpha_pattern}.
     */
    @Override
    public String toString() {
        DefaultIndenter lines = new DefaultIndenter("  ", "\n");
        DefaultPrettyPrinter printer = new DefaultPrettyPrinter(Separators.createDefaultInstance()
                .withObjectFieldValueSpacing(Separators.Spacing.AFTER).withArrayEmptySeparator("")
                .withObjectEmptySeparator("")).withObjectIndenter(lines).withArrayIndenter(lines);
        try {
            Map<String, JsonNode> sorted = new TreeMap<>();
            fields.object().properties().forEach(field -> sorted.put(field.getKey(), field.getValue()));
            return MAPPER.writer(printer).writeValueAsString(sorted);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("writing to memory", e);
        }
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof AdapterConfig config && config.fields.object().equals(fields.object());
    }

    @Override
    public int hashCode() {
        return fields.object().hashCode();
    }

    /** Begins with PEFT's defaults, of which some can be set to other values. {@code build} checks all values. */
    public abstract static class Builder<B extends Builder<B>> {
        private final ObjectNode json;

        protected Builder(ObjectNode json) {
            this.json = json;
        }

        /** PEFT's defaults for the keys that all methods have. */
        public static ObjectNode defaults(String peftType, int r) {
            ObjectNode json = JsonNodeFactory.instance.objectNode();
            for (String key : List.of("auto_mapping", "base_model_name_or_path", "exclude_modules", "layers_pattern",
                    "layers_to_transform", "modules_to_save", "revision", "target_modules", "task_type")) {
                json.putNull(key);
            }
            return json.put("peft_type", peftType).put("r", r).put("bias", "none").put("fan_in_fan_out", false)
                    .put("inference_mode", false);
        }

        /** This builder, as the type that its setters return. */
        protected abstract B self();

        /** Sets a key by its name. */
        public B set(String key, JsonNode value) {
            json.set(key, value);
            return self();
        }

        protected B set(String key, String value) {
            return set(key, json.textNode(value));
        }

        protected B set(String key, boolean value) {
            return set(key, json.booleanNode(value));
        }

        protected B set(String key, int value) {
            return set(key, json.numberNode(value));
        }

        protected B set(String key, double value) {
            return set(key, json.numberNode(value));
        }

        /** A copy of all values, to build a configuration from; {@code name} is what messages call it. */
        protected JsonFields fields(String name) {
            return JsonFields.of(name, json.deepCopy());
        }

        /**
         * Checks all values.
         *
         * @throws InputException naming the key, what was found and what was expected
         */
        public abstract AdapterConfig build();

        public B r(int value) {
            return set("r", value);
        }

        /** Modules whose path is one of these names or ends with "." and one of them. */
        public B targetModules(List<String> names) {
            return set("target_modules", strings(names));
        }

        /**
         * Modules whose whole path matches this regular expression, all linear layers for "all-linear", or none for
         * {@link ModuleSelector#DUMMY_TARGET_MODULES}.
         */
        public B targetModules(String pattern) {
            return set("target_modules", pattern);
        }

        /** Modules that are left out, named as in {@link #targetModules(List)}. */
        public B excludeModules(List<String> names) {
            return set("exclude_modules", strings(names));
        }

        /** Modules that are left out: those whose whole path matches this regular expression. */
        public B excludeModules(String pattern) {
            return set("exclude_modules", pattern);
        }

        /** The numbers of the layers whose modules are adapted; other layers are left out. */
        public B layersToTransform(List<Integer> layers) {
            ArrayNode array = json.arrayNode();
            layers.forEach(array::add);
            return set("layers_to_transform", array);
        }

        /** Names of the lists of layers in module paths, such as {@code layers} in {@code model.layers.0}. */
        public B layersPattern(List<String> names) {
            return set("layers_pattern", strings(names));
        }

        /**
         * Modules that are trained whole and saved, be they heads of a task or modules of the base model: those whose
         * path, or the path of a module that they are part of, ends with one of these names.
         */
        public B modulesToSave(List<String> names) {
            return set("modules_to_save", strings(names));
        }

        /**
         * Which of the base model's biases are trained beside the updates and saved: none, all, which includes those of
         * norms, or those of adapted layers, for which {@linkplain AdapterMethod#biasOfAdapted the word of any method}
         * stands.
         */
        public B bias(String value) {
            return set("bias", value);
        }

        public B fanInFanOut(boolean value) {
            return set("fan_in_fan_out", value);
        }

        public B baseModelNameOrPath(String value) {
            return set("base_model_name_or_path", value);
        }

        /** PEFT's task type, for example CAUSAL_LM. */
        public B taskType(String value) {
            return set("task_type", value);
        }

        private ArrayNode strings(List<String> names) {
            ArrayNode array = json.arrayNode();
            names.forEach(array::add);
            return array;
        }
    }
}
