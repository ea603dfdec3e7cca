package io.vblora.adapter;

import com.fasterxml.jackson.databind.JsonNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.PrintableText;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Which modules of a model are adapted, by PEFT's rules for {@code target_modules}, {@code exclude_modules},
 * {@code layers_to_transform} and {@code layers_pattern}; and which parameters are trained whole, by
 * {@code modules_to_save} and {@code bias}. Immutable.
 */
public final class ModuleSelector {
    /** PEFT's {@code target_modules} of a LoRA adapter without adapted modules, which has only modules to save. */
    public static final String DUMMY_TARGET_MODULES = "dummy-target-modules";

    private static final String ALL_LINEAR = "all-linear";
    private static final String OUTPUT_HEAD = "lm_head";
    /** PEFT's names of modules that may share their weights. */
    private static final List<String> TIED = List.of("embed_tokens", OUTPUT_HEAD);
    private static final int MAX_LAYER = 1_000_000;
    /** What follows the name of a list in the path of a module that is in it. */
    private static final Pattern IN_A_LIST = Pattern.compile("\\.\\d+(\\.|$)");

    /** The first number in a path with two names before it: the number of the layer in model.layers.0.mlp. */
    private static final ModulePattern ANY_LAYER = layer("", "", "[^.]*");

    private final String source;
    private final Names targets;
    private final Names excluded;
    private final List<Integer> layers;
    private final List<ModulePattern> layerPatterns;
    private final List<String> toSave;
    private final Bias bias;

    /**
     * Either names, of which one must equal a path or end it, or a pattern for whole paths, or neither; others are
     * null.
     */
    private record Names(List<String> names, ModulePattern pattern) {
        boolean isSet() {
            return names != null || pattern != null;
        }

        String describe() {
            return pattern != null ? PrintableText.quoted(pattern.regex())
                    : names.isEmpty() ? "[]" : PrintableText.list(names);
        }

        boolean matches(String path) {
            return pattern != null ? pattern.matchesAll(path)
                    : names != null && names.stream().anyMatch(name -> isNamed(path, name));
        }
    }

    private ModuleSelector(String source, Names targets, Names excluded, List<Integer> layers,
            List<ModulePattern> layerPatterns, List<String> toSave, Bias bias) {
        this.source = source;
        this.targets = targets;
        this.excluded = excluded;
        this.layers = layers;
        this.layerPatterns = layerPatterns;
        this.toSave = toSave;
        this.bias = bias;
    }

    static ModuleSelector of(JsonFields fields) {
        List<ModulePattern> layerPatterns = new ArrayList<>();
        for (String pattern : strings(fields, "layers_pattern", "a string or a list of strings", true)) {
            layerPatterns.add(layer(fields.source(), "layers_pattern", pattern));
        }
        List<Integer> layers = layers(fields);
        if (!layerPatterns.isEmpty() && !fields.has("layers_to_transform")) {
            throw fields.wrong("layers_to_transform", "numbers of layers, as there is a layers_pattern");
        }
        return new ModuleSelector(fields.source(), names(fields, "target_modules"), names(fields, "exclude_modules"),
                layers, layerPatterns, strings(fields, "modules_to_save", "a list of names or null", false),
                Bias.of(fields));
    }

    private static Names names(JsonFields fields, String key) {
        JsonNode value = fields.object().path(key);
        if (value.isTextual()) {
            return new Names(null, ModulePattern.compile(fields.source(), key, value.textValue()));
        }
        return new Names(fields.has(key)
                ? strings(fields, key, "a list of names, a regular expression or null", false) : null, null);
    }

    private static ModulePattern layer(String source, String key, String list) {
        return ModulePattern.compile(source, key, list, ".*?\\.", "\\.(\\d{1,9})\\.");
    }

    private static List<String> strings(JsonFields fields, String key, String expected, boolean one) {
        JsonNode value = fields.object().path(key);
        List<String> strings = new ArrayList<>();
        if (one && value.isTextual()) {
            if (!value.textValue().isEmpty()) {
                strings.add(value.textValue());
            }
        } else if (fields.has(key)) {
            if (!value.isArray()) {
                throw fields.wrong(key, expected);
            }
            for (JsonNode name : value) {
                if (!name.isTextual() || name.textValue().isEmpty()) {
                    throw fields.wrong(key, expected);
                }
                strings.add(name.textValue());
            }
        }
        return List.copyOf(strings);
    }

    private static List<Integer> layers(JsonFields fields) {
        JsonNode value = fields.object().path("layers_to_transform");
        List<Integer> layers = new ArrayList<>();
        if (fields.has("layers_to_transform")) {
            for (JsonNode layer : value.isArray() ? value : List.of(value)) {
                if (!layer.isInt() || layer.intValue() < 0 || layer.intValue() > MAX_LAYER) {
                    throw fields.wrong("layers_to_transform", "a layer's number or a list of them, from 0");
                }
                layers.add(layer.intValue());
            }
        }
        return List.copyOf(layers);
    }

    /** Names of the modules that are trained whole; empty if there are none. */
    List<String> modulesToSave() {
        return toSave;
    }

    /** Whether no module is adapted, as {@link #DUMMY_TARGET_MODULES} says. */
    public boolean adaptsNothing() {
        return targets.pattern != null && targets.pattern.regex().equals(DUMMY_TARGET_MODULES);
    }

    /**
     * Whether the model decides what is adapted, as with "all-linear", or with nothing, which is PEFT's choice for the
     * type of the model.
     */
    boolean dependsOnModel() {
        return !targets.isSet() || isAllLinear();
    }

    /** Whether {@code layers_to_transform} is set beside a pattern; as in PEFT it has no effect then. */
    boolean passesLayersBy() {
        return targets.pattern != null && !layers.isEmpty();
    }

    private boolean isAllLinear() {
        return targets.pattern != null && targets.pattern.regex().equalsIgnoreCase(ALL_LINEAR);
    }

    /**
     * Checks that all modules that an adapter has tensors of are selected: PEFT would leave out any other.
     *
     * @param paths paths of the modules that the file has tensors for
     * @throws InputException naming the first that is not selected
     */
    void checkSelects(Iterable<String> paths, String file) {
        for (String path : paths) {
            if (targets.isSet() && !isSelected(path)) {
                throw new InputException(source, "target_modules", targets.describe() + ", which (with "
                        + "exclude_modules, layers_to_transform and modules_to_save) does not select " + path
                        + ", but " + file + " holds its tensors", "all modules that there are tensors for");
            }
        }
    }

    /**
     * Checks that no other module of a model is selected: PEFT would begin with random numbers there.
     *
     * @param linears all linear layers of the model
     * @param adapted whether the adapter has tensors for a path
     * @throws InputException naming the first that has no tensors
     */
    void checkSelectsOnly(Predicate<String> adapted, List<ModuleShape> linears) {
        for (ModuleShape module : linears) {
            if (targets.isSet() && isSelected(module.path()) && !adapted.test(module.path())) {
                throw new InputException(source, "target_modules", targets.describe() + ", which selects "
                        + module.path() + " of the model, for which the adapter has no tensors",
                        "the modules that there are tensors for");
            }
        }
    }

    /** A sentence if modules are excluded of which the model has none. */
    List<String> notes(List<ModuleShape> linears) {
        if (!excluded.isSet() || excluded.names != null && excluded.names.isEmpty()
                || linears.stream().anyMatch(module -> excluded.matches(module.path()))) {
            return List.of();
        }
        return List.of(PrintableText.of(source + ": exclude_modules: without effect, as no linear layer of the model "
                + "matches " + excluded.describe()));
    }

    /** Whether, by PEFT's rule, an embedding or the output head is named: these two may share their weights. */
    public boolean namesTiedEmbedding() {
        List<String> names = new ArrayList<>(toSave);
        if (targets.names != null) {
            names.addAll(targets.names);
        }
        return names.stream().anyMatch(name -> TIED.contains(name.substring(name.lastIndexOf('.') + 1)))
                || targets.pattern != null && TIED.stream().anyMatch(targets::matches);
    }

    /**
     * Whether a module is trained whole: whether its path, or that of a module that it is part of, ends with a name. As
     * in PEFT, the name may begin within a part of the path.
     */
    boolean isToSave(String path) {
        return !savedAround(path).isEmpty();
    }

    /** Paths of the modules to save that a module is, or is part of, beginning with the outermost. */
    private List<String> savedAround(String path) {
        List<String> saved = new ArrayList<>();
        for (int end = path.indexOf('.'); end >= 0; end = path.indexOf('.', end + 1)) {
            saved.add(path.substring(0, end));
        }
        saved.add(path);
        saved.removeIf(module -> toSave.stream().noneMatch(module::endsWith));
        return saved;
    }

    Bias bias() {
        return bias;
    }

    /**
     * The parameters of a model that are trained whole, in the model's order. As in PEFT a name of
     * {@code modules_to_save} may match no module, as long as one does.
     *
     * @param adapted the modules that are adapted
     * @throws InputException if no name matches, a module is adapted as well, or PEFT could not read what is saved
     */
    List<WholeParameter> selectWhole(List<ModelParameter> model, List<ModuleShape> adapted) {
        Set<String> adaptedPaths = new LinkedHashSet<>();
        adapted.forEach(module -> adaptedPaths.add(module.path()));
        adaptedPaths.stream().filter(this::isToSave).findFirst().ifPresent(path -> {
            throw new InputException(source, "modules_to_save", toSave + ", of which one ends the path of " + path
                    + ", which is adapted", "modules that are not adapted");
        });
        List<WholeParameter> selected = new ArrayList<>();
        boolean anySaved = false;
        for (ModelParameter parameter : model) {
            boolean saved = isToSaveInPeft(parameter.module());
            anySaved |= saved;
            if (saved || !parameter.isHead() && bias.includes(parameter.name(), adaptedPaths)) {
                selected.add(WholeParameter.of(parameter.name(), parameter.shape(), adaptedPaths));
            }
        }
        if (!anySaved && !toSave.isEmpty()) {
            Set<String> modules = new LinkedHashSet<>();
            model.forEach(parameter -> modules.add(parameter.module()));
            throw new InputException(source, "modules_to_save", toSave + ", which names no module of the model",
                    modules.isEmpty() ? "none, as the model offers no module" : "one of its names; the nearest are "
                            + String.join(", ", NearestNames.of(toSave.get(0), modules)));
        }
        if (selected.isEmpty() && adaptsNothing()) {
            throw new InputException(source, "modules_to_save", "nothing, and no module is adapted",
                    "names of modules to train");
        }
        return selected;
    }

    /** {@link #isToSave}, which is refused for what PEFT cannot wrap, or cannot read again. */
    private boolean isToSaveInPeft(String path) {
        List<String> saved = savedAround(path);
        if (saved.size() > 1) {
            throw new InputException(source, "modules_to_save", toSave + ", which names " + saved.get(0)
                    + " and, in it, "
                    + saved.get(1), "modules of which none is part of another: PEFT could not read the adapter");
        }
        if (!saved.isEmpty() && IN_A_LIST.matcher(path.substring(saved.get(0).length())).lookingAt()) {
            throw new InputException(source, "modules_to_save", toSave + ", which names " + saved.get(0)
                    + ", a list of modules", "names of the modules in it: PEFT saves no list");
        }
        return !saved.isEmpty();
    }

    /**
     * The modules of a model that this selects, in the model's order.
     *
     * @param offered all linear layers of the model, the output head included
     * @throws InputException if a target names no module, naming the nearest; or if no module is left
     */
    public List<ModuleShape> select(List<ModuleShape> offered) {
        if (adaptsNothing()) {
            return List.of();
        }
        if (!targets.isSet() || targets.pattern == null && targets.names.isEmpty()) {
            throw new InputException(source, "target_modules", targets.isSet() ? "an empty list" : "nothing",
                    "a list of module names, a regular expression or \"" + ALL_LINEAR + "\"");
        }
        if (passesLayersBy()) {
            throw new InputException(source, "layers_to_transform", layers.toString(),
                    "null, as target_modules is not a list of names");
        }
        if (targets.names != null) {
            // PEFT replaces "all-linear" by names, including those of modules to save, which it then does not adapt.
            targets.names.stream().filter(name -> !isInsideSaved(name)).forEach(name -> checkKnown(name, offered));
        }
        List<ModuleShape> selected = offered.stream().filter(module -> isSelected(module.path())).toList();
        if (selected.isEmpty()) {
            throw new InputException(source, "target_modules", targets.describe() + ", which with exclude_modules and "
                    + "layers_to_transform leaves no module", "at least one module of the model, for example "
                            + offered.stream().map(ModuleShape::path).findFirst().orElse("(it has none)"));
        }
        return selected;
    }

    private void checkKnown(String name, List<ModuleShape> offered) {
        if (offered.stream().noneMatch(module -> isNamed(module.path(), name))) {
            String nearest = String.join(", ", NearestNames.of(name, namesLike(name, offered)));
            throw new InputException(source, "target_modules",
                    '"' + name + "\", which names no linear layer of the model",
                    "one of its names; the nearest are " + nearest);
        }
    }

    /** Ends of the modules' paths that have as many parts as the given name, or whole paths if they have fewer. */
    private static Set<String> namesLike(String name, List<ModuleShape> offered) {
        long dots = name.chars().filter(c -> c == '.').count();
        Set<String> names = new LinkedHashSet<>();
        for (ModuleShape module : offered) {
            String[] parts = module.path().split("\\.");
            int from = (int) Math.max(0, parts.length - 1 - dots);
            names.add(String.join(".", Stream.of(parts).skip(from).toList()));
        }
        return names;
    }

    private boolean isSelected(String path) {
        if (excluded.matches(path) || isInsideSaved(path)) {
            return false;
        }
        if (targets.pattern != null) {
            return isAllLinear() ? !isNamed(path, OUTPUT_HEAD) : targets.matches(path);
        }
        return targets.names.contains(path) || targets.matches(path) && isInLayers(path);
    }

    private boolean isInLayers(String path) {
        if (layers.isEmpty()) {
            return true;
        }
        for (ModulePattern pattern : layerPatterns.isEmpty() ? List.of(ANY_LAYER) : layerPatterns) {
            MatchResult match = pattern.matchStart(path);
            if (match != null) {
                return layers.contains(Integer.valueOf(match.group(1)));
            }
        }
        return false;
    }

    /** Whether whole parts of a path are a module to save: PEFT adapts nothing inside one. */
    private boolean isInsideSaved(String path) {
        return toSave.stream().anyMatch(name -> ('.' + path + '.').contains('.' + name + '.'));
    }

    private static boolean isNamed(String path, String name) {
        return path.equals(name) || path.endsWith("." + name);
    }
}
