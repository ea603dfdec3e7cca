package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.PrintableText;
import io.vblora.SharedUse;
import io.vblora.SharedUse.Use;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.parameters.NamedTensors;
import io.vblora.parameters.Trainable;
import io.vblora.weights.AtomicFile;
import io.vblora.weights.SafetensorsWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import java.util.stream.Collectors;

/**
 * Low-rank updates of some linear layers of a model, with their configuration and the composition that makes their
 * matrices; and parameters that are trained whole, beside the updates or alone: the heads of a task, and modules and
 * biases of the base model. However the adapter was made, its modules are ordered by path, with numbers in paths
 * ordered by value. Close it to free its memory.
 *
 * <p>Any number of threads may save it, ask for its deltas and compute with it in the models that it is attached to.
 * One thread trains or closes it, while no other uses it: a thread that comes at the wrong time gets an {@link
 * IllegalStateException} and changes nothing. Setting or updating parameters without a trainer is not checked in this
 * way. Attaching it to a model is a use like computing: {@link #belongTo} and {@link #setTaskConfig} may be called
 * while others use it, who see what was there before or what is there after.
 */
public final class Adapter implements AutoCloseable {
    /** Name of the file in an adapter's folder that holds its tensors. */
    public static final String WEIGHTS_FILE = PeftKeys.WEIGHTS_FILE;

    private final AdapterConfig config;
    private final Composition composition;
    private final WholeParameters wholeParameters;
    private final List<AdaptedModule> modules = new ArrayList<>();
    private final Map<String, AdaptedModule> byPath = new LinkedHashMap<>();
    private final Map<String, DType> storedDtypes;
    private final long storedVersion;
    private final SharedUse use = new SharedUse("The adapter", "any number of threads may compute with it, each with "
            + "an execution and a stream of its own, but none while one trains or closes it");
    /** Null if it has none. */
    private final AtomicReference<byte[]> taskConfig = new AtomicReference<>();

    /** Paths of the adapted modules whose weights the base model stores as [in, out]. */
    private volatile Set<String> fanInFanOut;

    /** What there is to say about the model that it last belonged to. */
    private volatile List<String> notesOnModel = List.of();

    /** @param storedDtypes the types of the tensors that the parameters were read from, by name */
    private Adapter(AdapterConfig config, List<ModuleShape> shapes, Composition composition,
            WholeParameters wholeParameters, Map<String, DType> storedDtypes) {
        this.config = config.withAdapted(shapes.stream().map(ModuleShape::path).toList());
        this.composition = composition;
        this.wholeParameters = wholeParameters;
        this.storedDtypes = storedDtypes;
        this.storedVersion = version();
        long offset = 0;
        for (ModuleShape shape : shapes) {
            AdaptedModule module = new AdaptedModule(shape, modules.size(), config.r(shape.path()), offset,
                    (float) config.scaling(shape.path()), (float) config.dropout(), composition);
            modules.add(module);
            byPath.put(shape.path(), module);
            offset += module.r() * (shape.inFeatures() + shape.outFeatures());
        }
        this.fanInFanOut = shapes.stream().filter(shape -> shape.fanInFanOut() || config.fanInFanOut())
                .map(ModuleShape::path).collect(Collectors.toUnmodifiableSet());
    }

    /** A new adapter without whole parameters: {@link #create(AdapterConfig, List, List, double, Stream, long)}. */
    public static Adapter create(AdapterConfig config, List<ModuleShape> linears, Stream stream, long seed) {
        return create(config, linears, List.of(), 0, stream, seed);
    }

    /**
     * A new adapter on the modules of a model that the configuration selects. Updates are initialised as PEFT does it,
     * heads as Hugging Face's models do it, from a seed that gives the same numbers in every run. The heads are the
     * same whatever the method.
     *
     * @param linears all linear layers of the base model
     * @param parameters all parameters of the model, of which {@code modules_to_save} and {@code bias} name those to
     * train whole
     * @param initializerRange standard deviation of the heads' first weights: the model's {@code initializer_range}
     * @throws InputException if a target is unknown, {@code modules_to_save} names no module or one that is adapted, or
     *         a dimension does not fit
     */
    public static Adapter create(AdapterConfig config, List<ModuleShape> linears, List<ModelParameter> parameters,
            double initializerRange, Stream stream, long seed) {
        List<ModuleShape> shapes = ordered(config.modules().select(linears));
        List<WholeParameter> whole = config.modules().selectWhole(parameters, shapes);
        return assemble(config, shapes, whole,
                config.create(shapes, new BaseWeights(config.source(), parameters), stream, seed), Map.of(),
                wholeParameters -> wholeParameters.initialize(parameters, seed, initializerRange, stream));
    }

    /**
     * Reads an adapter as PEFT writes it, {@code adapter_config.json} and {@code adapter_model.safetensors}: its
     * updates in any form of their method, its modules to save and its biases; and its task, if there is one. All files
     * that are read belong to the same save, even if another process saves there at that time. VB-LoRA and LoRA do not
     * need the base model, since the tensors tell the dimensions.
     *
     * @param parameters those of the base model, for a method whose updates are made from its weights; may be empty
     * @throws InputException if something is missing or contradictory, or if the method needs a weight of the base
     *         model that is not among the parameters
     */
    public static Adapter load(Path folder, List<ModelParameter> parameters, Stream stream) {
        return AdapterReader.read(folder, parameters, stream);
    }

    /** Reads an adapter without its base model: {@link #load(Path, List, Stream)}. */
    public static Adapter load(Path folder, Stream stream) {
        return load(folder, List.of(), stream);
    }

    /** Fills the whole parameters and makes the adapter; frees all parameters if that fails. */
    static Adapter assemble(AdapterConfig config, List<ModuleShape> shapes, List<WholeParameter> whole,
            Composition composition, Map<String, DType> storedDtypes, Consumer<WholeParameters> fill) {
        WholeParameters wholeParameters = null;
        try {
            wholeParameters = new WholeParameters(composition.packed().device(), config.source(), whole);
            fill.accept(wholeParameters);
            return new Adapter(config, shapes, composition, wholeParameters, storedDtypes);
        } catch (RuntimeException | Error e) {
            composition.close();
            if (wholeParameters != null) {
                wholeParameters.close();
            }
            throw e;
        }
    }

    /** Ordered by path, with numbers in paths ordered by value. */
    static List<ModuleShape> ordered(List<ModuleShape> shapes) {
        return shapes.stream().sorted(Comparator.comparing(ModuleShape::path, NaturalOrder.INSTANCE)).toList();
    }

    /** Its configuration. If that was "all-linear", {@code target_modules} lists the paths of the adapted modules. */
    public AdapterConfig config() {
        return config;
    }

    /**
     * What a user should know, as sentences without a full stop: which settings of the configuration have no effect,
     * and which modules take no part in what the model that this adapter was last attached to is used for.
     */
    public List<String> notes() {
        List<String> notes = new ArrayList<>(config.notes(List.copyOf(byPath.keySet())));
        notes.addAll(notesOnModel);
        return List.copyOf(notes);
    }

    /** All adapted modules, in the adapter's order; there are none if only whole parameters are trained. */
    public List<AdaptedModule> modules() {
        return List.copyOf(modules);
    }

    /** The adapted module with this path, if there is one. */
    public Optional<AdaptedModule> module(String path) {
        return Optional.ofNullable(byPath.get(path));
    }

    public Composition composition() {
        return composition;
    }

    /** The parameters of the model that are trained whole; there may be none. */
    public WholeParameters wholeParameters() {
        return wholeParameters;
    }

    /** Keeps those who compute with this adapter apart from the one that changes it. */
    public SharedUse sharedUse() {
        return use;
    }

    /** Paths of the modules to save of which the adapter holds parameters, in order. */
    public List<String> savedModules() {
        return wholeParameters.names().stream().map(ModelParameter::module).filter(config.modules()::isToSave)
                .distinct().sorted(NaturalOrder.INSTANCE).toList();
    }

    /** Names of the biases that are trained because {@code bias} says so, in order. */
    public List<String> biases() {
        return wholeParameters.names().stream().filter(name -> !config.modules().isToSave(ModelParameter.module(name)))
                .toList();
    }

    /** The composition and the whole parameters, as far as they have any parameters. */
    public List<Trainable> trainables() {
        return List.<Trainable>of(composition, wholeParameters).stream().filter(t -> t.parameterCount() > 0).toList();
    }

    /** Whether it can be trained: not if it was stored in a form that is for inference alone. */
    public boolean trainable() {
        return composition.trainable();
    }

    /** {@link #checkFits(List, List, List)} for a model that offers no parameters. */
    public void checkFits(List<ModuleShape> linears) {
        checkFits(linears, List.of(), List.of());
    }

    /**
     * Checks that a model has all adapted modules and whole parameters, with their dimensions, and that the adapter has
     * exactly what its configuration names of this model, including all heads. Changes nothing.
     *
     * @param linears the linear layers of the base model
     * @param idle linear layers of its architecture that take no part in what it is used for: the adapter may adapt
     *        them or not
     * @param parameters all parameters of the model
     * @throws InputException naming the first module or parameter that does not fit
     */
    public void checkFits(List<ModuleShape> linears, List<ModuleShape> idle, List<ModelParameter> parameters) {
        List<ModuleShape> shapes = modules.stream().map(AdaptedModule::shape).toList();
        List<ModuleShape> all = new ArrayList<>(linears);
        all.addAll(idle);
        checkModules(shapes, all);
        config.modules().checkSelectsOnly(byPath::containsKey, linears);
        checkParameters(idle.stream().map(ModuleShape::path).toList(), parameters);
        for (WholeParameter expected : config.modules().selectWhole(parameters, shapes)) {
            if (!wholeParameters.holds(expected.name())) {
                throw new InputException(config.source(), config.modules().isToSave(ModelParameter.module(
                        expected.name())) ? "modules_to_save" : "bias", "an adapter without " + expected.name(),
                        "all that it names of the model, " + expected.shape() + " in this one");
            }
        }
        for (ModelParameter parameter : parameters) {
            if (parameter.isHead() && !wholeParameters.holds(parameter.name())) {
                throw new InputException(config.source(), "modules_to_save", "an adapter without " + parameter.name(),
                        "all heads of the model, " + parameter.shape() + " in this one");
            }
        }
    }

    /**
     * Notes which model it belongs to from now on, one that it was {@linkplain #checkFits(List, List, List) found to
     * fit}: whole parameters that the base model has as well learn at the rate of updates, others at that of heads;
     * {@link #fanInFanOut} is the model's; and {@link #notes} says what it holds that takes no part.
     *
     * @param linears the linear layers of the base model
     * @param idle linear layers of its architecture that take no part in what it is used for
     * @param parameters all parameters of the model
     */
    public void belongTo(List<ModuleShape> linears, List<ModuleShape> idle, List<ModelParameter> parameters) {
        List<ModuleShape> all = new ArrayList<>(linears);
        all.addAll(idle);
        List<String> idlePaths = idle.stream().map(ModuleShape::path).toList();
        List<String> idleParts = new ArrayList<>();
        modules.stream().map(AdaptedModule::shape).filter(shape -> idlePaths.contains(shape.path()))
                .forEach(shape -> idleParts.add(shape.path() + " is adapted"));
        wholeParameters.names().stream().filter(name -> idlePaths.contains(ModelParameter.module(name)))
                .forEach(name -> idleParts.add(name + " is trained"));
        List<String> notes = new ArrayList<>(config.modules().notes(all));
        idleParts.forEach(part -> notes.add(PrintableText.of(config.source() + ": " + part
                + ", but takes no part in this use of the model")));
        Set<String> stored = all.stream().filter(shape -> shape.fanInFanOut() && byPath.containsKey(shape.path()))
                .map(ModuleShape::path).collect(Collectors.toUnmodifiableSet());
        if (stored.size() != (config.fanInFanOut() ? modules.size() : 0)) {
            notes.add(PrintableText.of(config.source() + ": fan_in_fan_out is " + config.fanInFanOut()
                    + ", but that is not how the model stores the weights of all adapted modules: its own layout is "
                    + "used"));
        }
        fanInFanOut = stored;
        wholeParameters.belongTo(parameters);
        notesOnModel = List.copyOf(notes);
    }

    private void checkModules(List<ModuleShape> own, List<ModuleShape> offered) {
        Map<String, ModuleShape> model = new LinkedHashMap<>();
        offered.forEach(shape -> model.put(shape.path(), shape));
        for (ModuleShape module : own) {
            ModuleShape shape = model.get(module.path());
            if (shape == null) {
                throw new InputException(config.source(), module.path(), "a module that the model does not have",
                        "one of the model's; the nearest are "
                                + String.join(", ", NearestNames.of(module.path(), model.keySet())));
            }
            if (!shape.hasDimensionsOf(module)) {
                throw new InputException(config.source(), module.path(), "an adapter from " + describe(module),
                        "one from " + describe(shape) + ", as in the model");
            }
        }
    }

    private void checkParameters(List<String> idlePaths, List<ModelParameter> offered) {
        Map<String, ModelParameter> model = new LinkedHashMap<>();
        offered.forEach(parameter -> model.put(parameter.name(), parameter));
        for (WholeParameter own : wholeParameters.all()) {
            ModelParameter parameter = model.get(own.name());
            if (parameter == null && idlePaths.contains(ModelParameter.module(own.name()))) {
                continue;
            }
            if (parameter == null) {
                throw new InputException(config.source(), own.name(), "a parameter that the model does not have",
                        model.isEmpty() ? "none, as the model offers none" : "one of the model's; the nearest are "
                                + String.join(", ", NearestNames.of(own.name(), model.keySet())));
            }
            if (!parameter.shape().equals(own.shape())) {
                throw new InputException(config.source(), own.name(), "shape " + own.shape(), parameter.shape()
                        + ", as in the model");
            }
        }
    }

    private static String describe(ModuleShape shape) {
        return shape.inFeatures() + " to " + shape.outFeatures() + " features";
    }

    /**
     * What else is needed to use the adapter, such as labels: the content of {@value AdapterFolder#TASK_FILE}, which
     * models and tasks define. It is read with an adapter, and set by a model with heads that it is attached to.
     */
    public Optional<byte[]> taskConfig() {
        return Optional.ofNullable(taskConfig.get()).map(byte[]::clone);
    }

    /** Sets what {@link #taskConfig} returns and {@link #save} writes; null for none. */
    public void setTaskConfig(byte[] json) {
        taskConfig.set(json == null ? null : json.clone());
    }

    /** Sets what {@link #taskConfig} returns if there is none. */
    public void setTaskConfigIfAbsent(byte[] json) {
        taskConfig.compareAndSet(null, json.clone());
    }

    /**
     * Writes the adapter as PEFT does, with its task beside it: all files or none, whatever ends the process on the way
     * ({@link io.vblora.weights.FileGroup}). An adapter that was there is replaced, including its task. An adapter that
     * has not changed since it was loaded keeps its element types, and others are stored as float32. VB-LoRA's top-k
     * weights and their bank always are, because PEFT can read no other type of them.
     *
     * @param folder created if it is missing
     * @param compact whether to store the method's compact form, which is small and for inference alone: that of
     * VB-LoRA holds only the selection, as with PEFT's {@code save_only_topk_weights}
     * @throws InputException if the adapter does not hold what that form needs, or if the folder holds an interrupted
     * save that cannot be finished
     * @throws java.io.UncheckedIOException if a file cannot be written
     */
    public void save(Path folder, boolean compact, Stream stream) {
        StoredForm form = config.form(compact);
        try (Use reading = use.read(); NamedTensors updates = composition.stored(form, stream)) {
            Map<String, AtomicFile.Content> files = new LinkedHashMap<>();
            files.put(WEIGHTS_FILE, AdapterWriter.of(this, form, updates, stream)::writeTo);
            files.put(AdapterConfig.FILE_NAME, AtomicFile.content(
                    config.storedAs(form, fanInFanOut()).toString().getBytes(StandardCharsets.UTF_8)));
            byte[] task = taskConfig.get();
            if (task != null) {
                files.put(AdapterFolder.TASK_FILE, AtomicFile.content(task));
            }
            AdapterFolder.files(folder).replace(files);
        }
    }

    /**
     * Bytes of the {@code adapter_model.safetensors} that {@link #save} writes, or would write if the adapter held what
     * that form needs.
     */
    public long storedBytes(boolean compact) {
        return storedBytes(config.form(compact));
    }

    /** {@link #storedBytes(boolean)} of one of the method's forms. */
    public long storedBytes(StoredForm form) {
        return AdapterWriter.of(this, form, null, null).bytes();
    }

    /**
     * Bytes of the {@code adapter_model.safetensors} of a float32 LoRA adapter with the same modules, ranks and whole
     * parameters.
     */
    public long loraStoredBytes() {
        return AdapterWriter.bytesOfLora(this);
    }

    /**
     * Whether the base model stores the weight of a module as [in, out]: as the model has it that the adapter last
     * belonged to, as with PEFT, and before that as the configuration says.
     */
    public boolean fanInFanOut(AdaptedModule module) {
        return fanInFanOut.contains(module.path());
    }

    /** The same as PEFT's configuration says it, which is of all modules at once. */
    private boolean fanInFanOut() {
        return modules.isEmpty() ? config.fanInFanOut() : !fanInFanOut.isEmpty();
    }

    /** A number that grows with every change of a parameter. */
    private long version() {
        return composition.version() + wholeParameters.version();
    }

    /** The element type to store a parameter in. */
    DType storedDtype(String parameter) {
        return version() == storedVersion ? storedDtypes.getOrDefault(parameter, DType.FLOAT32)
                : DType.FLOAT32;
    }

    /**
     * The change of a module's weight, scaling · B A: float32 [out, in], or [in, out] if {@link
     * #fanInFanOut(AdaptedModule)}, on the CPU.
     * The products are summed in float64. The caller closes it.
     */
    public Tensor delta(AdaptedModule module, Stream stream) {
        return delta(module, fanInFanOut(module), stream);
    }

    private Tensor delta(AdaptedModule module, boolean transposed, Stream stream) {
        try (Use reading = use.read()) {
            return Delta.of(module, transposed, stream);
        }
    }

    /**
     * {@link #delta(AdaptedModule, Stream)} of all modules, by path. They take as much memory as the adapted weights.
     */
    public Map<String, Tensor> delta(Stream stream) {
        Map<String, Tensor> deltas = new LinkedHashMap<>();
        Set<String> transposed = fanInFanOut; // another thread may attach the adapter to a model meanwhile
        try {
            modules.forEach(module -> deltas.put(module.path(),
                    delta(module, transposed.contains(module.path()), stream)));
            return deltas;
        } catch (RuntimeException | Error e) {
            deltas.values().forEach(Tensor::close);
            throw e;
        }
    }

    /** Writes the deltas of all modules to a safetensors file, by path. Only one is in memory at a time. */
    public void writeDelta(Path file, Stream stream) {
        SafetensorsWriter writer = new SafetensorsWriter();
        Set<String> transposed = fanInFanOut; // as in delta
        for (AdaptedModule module : modules) {
            boolean inOut = transposed.contains(module.path());
            writer.add(module.path(), DType.FLOAT32, Delta.shape(module, inOut), () -> delta(module, inOut, stream));
        }
        writer.write(file);
    }

    /** @throws IllegalStateException if another thread uses this adapter */
    @Override
    public void close() {
        try (Use changing = use.change()) {
            composition.close();
            wholeParameters.close();
        }
    }
}
