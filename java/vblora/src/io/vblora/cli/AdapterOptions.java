package io.vblora.cli;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.AdapterMethod;
import io.vblora.adapter.AdapterMethods;
import io.vblora.adapter.MethodOption;
import io.vblora.adapter.MethodSwitch;
import io.vblora.adapter.ModuleSelector;
import io.vblora.adapter.ModuleShape;
import io.vblora.train.TrainingArguments;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** Options of {@code finetune} that become an {@link AdapterConfig}; names and defaults are PEFT's. */
final class AdapterOptions {
    /** Options of all low-rank updates. */
    static final List<String> UPDATES_ONLY = List.of("--r", "--target-modules");

    /** Hugging Face's name of the head for sequences, whole or the module that it is part of. */
    private static final String HEAD_MODULE = "classifier";
    /** What PEFT writes for it: the names that heads for sequences have in any model. */
    static final List<String> HEAD_MODULES = List.of(HEAD_MODULE, "score");

    @Option(names = "--method", paramLabel = "METHOD", converter = MethodChoice.Converter.class,
            completionCandidates = MethodChoice.Names.class,
            description = "${COMPLETION-CANDIDATES} (default: ${DEFAULT-VALUE}, or that of --init-adapter). head "
                    + "trains only the head of a sequence task, with the whole encoder frozen.")
    private MethodChoice method = MethodChoice.all().get(0);

    @Option(names = "--r", paramLabel = "N",
            description = "Rank of the updates (default: ${bundle:methods.ranks}).")
    private Integer r;

    @Option(names = "--target-modules", paramLabel = "MODULES",
            description = "The modules to adapt: all-linear (all but the output head); names separated by commas, "
                    + "which module paths equal or end with, such as q_proj,v_proj; or a regular expression for whole "
                    + "paths, which is recognised by any character besides letters, digits, dot, comma, - and _ "
                    + "(default: ${DEFAULT-VALUE}).")
    private String targetModules = "all-linear";

    @Option(names = "--bias", paramLabel = "WHICH", completionCandidates = Biases.class,
            description = "Biases of the base model that are trained and saved beside the updates: "
                    + "${COMPLETION-CANDIDATES}; all includes those of norms, and each word that ends in _only stands "
                    + "for those of adapted layers, with any method (default: ${DEFAULT-VALUE}).")
    private String bias = "none";

    @Option(names = "--modules-to-save", paramLabel = "MODULES", split = ",",
            description = "Modules of the base model that are trained whole and saved, in addition to the head of a "
                    + "sequence task: names separated by commas, with which paths of modules, or of modules around "
                    + "them, end, such as lm_head,embed_tokens (default: none).")
    private List<String> modulesToSave = List.of();

    /** The options of all methods, by key. They have no value unless it is given. */
    private final Map<String, OptionSpec> ofMethods = new LinkedHashMap<>();
    /** The options for the learning rates of all methods, by name. They have no value unless it is given. */
    private final Map<String, OptionSpec> learningRates = new LinkedHashMap<>();
    /** The options for the compact forms of all methods, by key. */
    private final Map<String, OptionSpec> compactForms = new LinkedHashMap<>();

    /** Adds the options of all methods to a command's mixins for adapters and training, before anything is parsed. */
    static void addOptionsOfMethods(CommandSpec command, String adapterMixin, String trainingMixin) {
        CommandSpec spec = command.mixins().get(adapterMixin);
        AdapterOptions options = (AdapterOptions) spec.userObject();
        byKey(AdapterMethod::options, MethodOption::key).forEach((key, shared) -> options.ofMethods.put(key, add(
                command, spec, valued(shared))));
        byKey(method -> method.compactForm().stream().toList(), MethodSwitch::key).forEach((key,
                shared) -> options.compactForms.put(key, add(command, spec, OptionSpec.builder(shared.get(0).offer()
                        .name())
                        .type(Boolean.class).arity("0").description(description(shared, MethodSwitch::description)))));
        byKey(AdapterMethod::learningRates, MethodOption::key).forEach((key, shared) -> options.learningRates.put(key,
                add(command, command.mixins().get(trainingMixin), valued(shared))));
    }

    /** Something that a method offers. */
    private record Offered<T>(AdapterMethod method, T offer) {}

    /** What methods offer under each key. */
    private static <T> Map<String, List<Offered<T>>> byKey(Function<AdapterMethod, List<T>> offers,
            Function<T, String> key) {
        return AdapterMethods.all().stream()
                .flatMap(method -> offers.apply(method).stream().map(offer -> new Offered<>(method, offer)))
                .collect(Collectors.groupingBy(offered -> key.apply(offered.offer()), LinkedHashMap::new,
                        Collectors.toList()));
    }

    private static <T> String description(List<Offered<T>> shared, Function<T, String> description) {
        return shared.stream().map(offered -> offered.method().title() + ": " + description.apply(offered.offer()))
                .collect(Collectors.joining(" "));
    }

    /**
     * One option for what methods offer under one key. It has no default, since each method has its own.
     *
     * @throws IllegalStateException if their values are of different kinds
     */
    private static OptionSpec.Builder valued(List<Offered<MethodOption>> shared) {
        MethodOption first = shared.get(0).offer();
        Class<?> type = first.defaultValue().getClass();
        if (shared.stream().map(Offered::offer).anyMatch(option -> option.defaultValue().getClass() != type || option
                .isAuto() != first.isAuto())) {
            throw new IllegalStateException("Methods share " + first.key() + " with values of different kinds: "
                    + shared);
        }
        OptionSpec.Builder builder = OptionSpec.builder(first.name()).paramLabel(first.label()).type(type)
                .description(description(shared, option -> option.description().replace("${DEFAULT-VALUE}", option
                        .defaultValue().toString())));
        return first.isAuto() ? builder.converters(new NumberOrAuto()) : builder;
    }

    /** @throws IllegalStateException if the command has another option of this name */
    private static OptionSpec add(CommandSpec command, CommandSpec mixin, OptionSpec.Builder option) {
        OptionSpec added = option.build();
        if (command.findOption(added.longestName()) != null) {
            throw new IllegalStateException("A method offers " + added.longestName() + ", which is an option of "
                    + command.name() + " already");
        }
        mixin.addOption(added);
        command.addOption(added);
        return added;
    }

    /** Sets the learning rates that are given; the others are those of the parameters' groups. */
    void setLearningRates(TrainingArguments.Builder arguments) {
        learningRates.forEach((name, option) -> {
            Double rate = option.getValue();
            if (rate != null) {
                arguments.learningRate(name, rate);
            }
        });
    }

    /** The value that is given, or else the method's default; null for auto. */
    private Number value(MethodOption option) {
        Number given = ofMethods.get(option.key()).getValue();
        return given == null && !option.isAuto() ? option.defaultValue() : given;
    }

    /** Values of --bias, for help. */
    private static final class Biases implements Iterable<String> {
        @Override
        public Iterator<String> iterator() {
            return AdapterConfig.biases().iterator();
        }
    }

    MethodChoice method() {
        return method;
    }

    /** Reads a whole number, or null for auto. */
    private static final class NumberOrAuto implements ITypeConverter<Integer> {
        @Override
        public Integer convert(String text) {
            try {
                return text.equals("auto") ? null : Integer.valueOf(text);
            } catch (NumberFormatException e) {
                throw new TypeConversionException("found " + text + "; expected auto or a number");
            }
        }
    }

    /** Whether the compact form of a method is asked for. */
    boolean isCompact(MethodChoice chosen) {
        return chosen.compactForm().map(form -> compactForms.get(form.key()).<Boolean>getValue())
                .orElse(false);
    }

    /** The options that --init-adapter determines, so that their values may not contradict it. */
    List<String> ofConfig(MethodChoice chosen) {
        Stream<MethodOption> given = chosen.options().stream()
                .filter(option -> value(option) != null);
        return Stream.concat(Stream.of("--r"), given.map(MethodOption::name)).toList();
    }

    /** Chooses the settings that are left open for a model, and says so. */
    AdapterConfig fitting(AdapterConfig config, List<ModuleShape> linears, Invocation invocation) {
        if (method.options().stream().noneMatch(option -> value(option) == null)) {
            return config;
        }
        return config.fitting(linears).map(fitting -> {
            invocation.say("%s", fitting.note());
            return fitting.config();
        }).orElse(config);
    }

    /**
     * The configuration that the options describe. What they leave open has PEFT's defaults.
     *
     * @throws io.vblora.InputException if a value is out of range, or values do not fit together
     */
    AdapterConfig config(MethodChoice chosen, Task task, String baseModel) {
        AdapterConfig.Builder<?> builder = chosen.method().builder();
        if (chosen.isHeadAlone()) {
            builder.targetModules(ModuleSelector.DUMMY_TARGET_MODULES);
        } else {
            chosen.options().forEach(option -> {
                Number value = value(option);
                if (value != null) {
                    builder.set(option.key(), value instanceof Integer
                            ? JsonNodeFactory.instance.numberNode(value.intValue())
                            : JsonNodeFactory.instance.numberNode(value.doubleValue()));
                }
            });
            setUpdates(builder, r == null ? chosen.method().defaultRank() : r);
        }
        Stream<String> head = task.isSequence() ? Stream.of(HEAD_MODULE) : Stream.of();
        List<String> saved = Stream.concat(head, modulesToSave.stream()).distinct().toList();
        if (!saved.isEmpty()) {
            builder.modulesToSave(saved);
        }
        builder.bias(bias);
        builder.baseModelNameOrPath(baseModel);
        builder.taskType(task.peftTaskType());
        return builder.build();
    }

    private void setUpdates(AdapterConfig.Builder<?> builder, int rank) {
        builder.r(rank);
        if (targetModules.equals("all-linear") || !targetModules.matches("[\\w.,-]+")) {
            builder.targetModules(targetModules);
        } else {
            builder.targetModules(List.of(targetModules.split(",")));
        }
    }
}
