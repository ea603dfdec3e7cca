package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.kernels.DType;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.parameters.FlatParameters;
import io.vblora.parameters.Floats;
import io.vblora.weights.SafetensorsFile;
import io.vblora.weights.WeightSource.Entry;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Reads a PEFT folder and checks that configuration and tensors agree. */
final class PeftReader {
    /** How far stored float32 weights of a sub-vector may add up to more than 1. */
    private static final double SUM_TOLERANCE = 1e-5;

    private final AdapterConfig config;
    private final SafetensorsFile file;
    private final Stream stream;
    private final Map<String, DType> storedDtypes = new HashMap<>();

    private PeftReader(AdapterConfig config, SafetensorsFile file, Stream stream) {
        this.config = config;
        this.file = file;
        this.stream = stream;
    }

    static Adapter read(Path folder, Stream stream) {
        return AdapterFolder.files(folder).read(() -> {
            Adapter adapter = readOnce(folder, stream);
            try {
                adapter.setTaskConfig(AdapterFolder.readTaskConfig(folder));
                return adapter;
            } catch (RuntimeException | Error e) {
                adapter.close();
                throw e;
            }
        });
    }

    private static Adapter readOnce(Path folder, Stream stream) {
        AdapterConfig config = AdapterConfig.read(folder);
        Path weights = folder.resolve(PeftFormat.WEIGHTS_FILE);
        if (!Files.exists(weights) && Files.exists(folder.resolve("adapter_model.bin"))) {
            throw new InputException(folder, "", "only adapter_model.bin", PeftFormat.WEIGHTS_FILE);
        }
        try (SafetensorsFile file = SafetensorsFile.open(weights)) {
            PeftReader reader = new PeftReader(config, file, stream);
            return config instanceof VbLoraConfig vbLora ? reader.readVbLora(vbLora)
                    : reader.readLora((LoraConfig) config);
        }
    }

    private Adapter readVbLora(VbLoraConfig vbLora) {
        boolean topkOnly = vbLora.saveOnlyTopkWeights();
        checkMode(topkOnly);
        String[] suffixes = topkOnly ? new String[] {PeftKeys.TOPK_INDICES, PeftKeys.TOPK_WEIGHTS} : new String[] {""};
        Set<String> paths = paths(PeftKeys.LOGITS_A, PeftKeys.LOGITS_B, suffixes);
        List<WholeParameter> whole = whole(List.of(PeftKeys.LOGITS_A, PeftKeys.LOGITS_B), paths);
        check(PeftKeys.LOGITS_A, PeftKeys.LOGITS_B, suffixes, Set.of(PeftKeys.VECTOR_BANK), paths, whole);
        expect(PeftKeys.VECTOR_BANK, "num_vectors, vector_length", vbLora.numVectors(), vbLora.vectorLength());
        List<ModuleShape> shapes = new ArrayList<>();
        for (String path : paths) {
            long columnsA = expect(PeftKeys.logitsA(path) + suffixes[0], "r", vbLora.r(), -1, -1).get(1);
            long columnsB = expect(PeftKeys.logitsB(path) + suffixes[0], "r", -1, vbLora.r(), -1).get(0);
            shapes.add(new ModuleShape(path, multiply(path, columnsA, vbLora), multiply(path, columnsB, vbLora)));
        }
        VbLoraComposition composition = new VbLoraComposition(stream.device(), vbLora, shapes, !topkOnly,
                file.path().toString());
        return Adapter.finish(config, shapes, whole, composition, storedDtypes, wholeParameters -> {
            fill(PeftKeys.VECTOR_BANK, composition.bank());
            Floats.requireFinite(stream, file.path().toString(), PeftKeys.VECTOR_BANK, composition.bank());
            for (VbLoraComposition.LogitsBlock block : composition.blocks()) {
                if (topkOnly) {
                    readSelection(vbLora, block, composition);
                } else {
                    expect(block.name(), "r, num_vectors", block.shape(vbLora.numVectors()));
                    fill(block.name(), block.view(composition.logits(), vbLora.numVectors()));
                }
            }
            if (topkOnly) {
                composition.compose(stream);
            } else {
                composition.select(stream);
            }
            fill(wholeParameters);
        });
    }

    /** A flag that disagrees with the tensors would silently decode to something else. */
    private void checkMode(boolean topkOnly) {
        for (String name : file.names()) {
            boolean isSelection = name.endsWith(PeftKeys.TOPK_INDICES) || name.endsWith(PeftKeys.TOPK_WEIGHTS);
            boolean isLogits = name.endsWith(PeftKeys.LOGITS_A) || name.endsWith(PeftKeys.LOGITS_B);
            if (topkOnly ? isLogits : isSelection) {
                throw new InputException(config.source(), "save_only_topk_weights",
                        topkOnly + ", but the tensor " + name, (!topkOnly) + ", or tensors stored the other way");
            }
        }
    }

    private long multiply(String path, long columns, VbLoraConfig vbLora) {
        if (columns < 1 || columns > Integer.MAX_VALUE) {
            throw new InputException(file.path(), path, columns + " sub-vectors in a row", "at least 1");
        }
        return columns * vbLora.vectorLength();
    }

    private void readSelection(VbLoraConfig vbLora, VbLoraComposition.LogitsBlock block,
            VbLoraComposition composition) {
        int h = vbLora.numVectors();
        int k = vbLora.topk();
        String indicesName = block.name() + PeftKeys.TOPK_INDICES;
        String weightsName = block.name() + PeftKeys.TOPK_WEIGHTS;
        expect(indicesName, "r, topk", block.shape(k));
        expect(weightsName, "r, topk - 1", block.shape(k - 1));
        int[] indices = readIndices(indicesName, h);
        float[] weights;
        try (Tensor stored = file.readFloat32(weightsName)) {
            weights = stored.toFloats();
        }
        DType dtype = file.entry(weightsName).dtype();
        storedDtypes.put(block.name(), dtype);
        double tolerance = SUM_TOLERANCE + (k - 1) * roundOff(dtype);
        float[] all = new float[indices.length];
        Set<Integer> seen = new HashSet<>();
        for (int row = 0; row < block.rows(); row++) {
            double sum = 0;
            for (int j = 0; j < k - 1; j++) {
                float w = weights[row * (k - 1) + j];
                if (!(w >= 0 && w <= 1)) {
                    throw new InputException(file.path(), weightsName, w + " in sub-vector " + row,
                            "weights in [0, 1]");
                }
                sum += w;
                all[row * k + j] = w;
            }
            if (sum > 1 + tolerance) {
                throw new InputException(file.path(), weightsName, "a sum of " + sum + " in sub-vector " + row,
                        "at most 1");
            }
            // PEFT stores all weights but the last; rounding can make what is left negative.
            all[row * k + k - 1] = (float) Math.max(0, 1 - sum);
            seen.clear();
            for (int j = 0; j < k; j++) {
                if (!seen.add(indices[row * k + j])) {
                    throw new InputException(file.path(), indicesName,
                            indices[row * k + j] + " twice in sub-vector " + row, "different indices");
                }
            }
        }
        block.view(composition.indices(), k).copyFrom(indices);
        block.view(composition.weights(), k).copyFrom(all);
    }

    /** Half a unit in the last place of numbers below 1, beyond float32's, which the tolerance covers. */
    private static double roundOff(DType dtype) {
        return switch (dtype) {
            case BFLOAT16 -> 0x1p-9;
            case FLOAT16 -> 0x1p-12;
            default -> 0;
        };
    }

    private int[] readIndices(String name, int numVectors) {
        try (Tensor stored = file.read(name)) {
            DType dtype = stored.dtype();
            if (dtype.isNativeFloat() || dtype == DType.FLOAT64 || dtype == DType.BOOL) {
                throw new InputException(file.path(), name, "dtype " + dtype.code(),
                        "integers, " + PeftFormat.indexDtype(numVectors).code() + " as PEFT stores them");
            }
            ByteBuffer bytes = stored.buffer(0, Math.toIntExact(stored.bytes()));
            int[] indices = new int[Math.toIntExact(stored.elements())];
            for (int i = 0; i < indices.length; i++) {
                long index = switch (dtype) {
                    case UINT8 -> bytes.get() & 0xff;
                    case INT8 -> bytes.get();
                    case INT16 -> bytes.getShort();
                    case INT32 -> bytes.getInt();
                    default -> bytes.getLong();
                };
                if (index < 0 || index >= numVectors) {
                    throw new InputException(file.path(), name, "index " + index + " at element " + i,
                            "0 to " + (numVectors - 1) + ", as num_vectors is " + numVectors);
                }
                indices[i] = (int) index;
            }
            return indices;
        }
    }

    private Adapter readLora(LoraConfig lora) {
        String[] suffixes = {""};
        Set<String> paths = paths(PeftKeys.LORA_A, PeftKeys.LORA_B, suffixes);
        List<WholeParameter> whole = whole(List.of(PeftKeys.LORA_A, PeftKeys.LORA_B), paths);
        check(PeftKeys.LORA_A, PeftKeys.LORA_B, suffixes, Set.of(), paths, whole);
        List<ModuleShape> shapes = new ArrayList<>();
        for (String path : paths) {
            int r = lora.r(path);
            String keys = r == lora.r() ? "r" : "rank_pattern";
            long in = expect(PeftKeys.loraA(path), keys, r, -1).get(1);
            long out = expect(PeftKeys.loraB(path), keys, -1, r).get(0);
            shapes.add(shape(path, in, out));
        }
        LoraComposition composition = new LoraComposition(stream.device(), lora, shapes);
        return Adapter.finish(config, shapes, whole, composition, storedDtypes, wholeParameters -> {
            fill(composition);
            fill(wholeParameters);
        });
    }

    private ModuleShape shape(String path, long in, long out) {
        if (in < 1 || out < 1) {
            throw new InputException(file.path(), path, "a module from " + in + " to " + out + " features",
                    "at least 1");
        }
        return new ModuleShape(path, in, out);
    }

    /**
     * The parameters of the model that are held whole: all of modules to save, and biases. With bias "all" PEFT (0.21)
     * writes the biases of modules to save three times: as the modules', and, of no use, as what those replaced and
     * under its own name of the copy.
     *
     * @param adapted paths of the adapted modules
     */
    private List<WholeParameter> whole(List<String> keysOfUpdates, Set<String> adapted) {
        List<WholeParameter> whole = new ArrayList<>();
        for (String key : file.names()) {
            if (!key.startsWith(PeftKeys.MODULE_PREFIX) || keysOfUpdates.stream().anyMatch(key::endsWith)) {
                continue;
            }
            String name = key.substring(PeftKeys.MODULE_PREFIX.length());
            String module = ModelParameter.module(name);
            boolean saved = (name.endsWith(PeftKeys.WEIGHT) || ModelParameter.isBias(name)) && !module.isEmpty()
                    && !isCopy(name) && config.modules().isToSave(module);
            if (name.endsWith(PeftKeys.BASE_BIAS)) {
                name = name.substring(0, name.length() - PeftKeys.BASE_BIAS.length()) + PeftKeys.BIAS;
            }
            if (saved || !isCopy(name) && config.modules().bias().includes(name, adapted)) {
                whole.add(WholeParameter.of(name, shapeOfWhole(key), adapted));
                if (saved && ModelParameter.isBias(name)) {
                    checkBias(key, module);
                }
            }
        }
        return whole;
    }

    /** A module with a bias has a weight that it fits; there may be weights without a bias. */
    private void checkBias(String key, String module) {
        String weight = PeftKeys.MODULE_PREFIX + module + PeftKeys.WEIGHT;
        if (!file.contains(weight)) {
            throw new InputException(file.path(), weight, "no tensor of this name", "the weight of " + module
                    + ", as there is its bias");
        }
        List<Long> expected = shapeOfWhole(weight).subList(0, 1);
        if (!file.entry(key).shape().equals(expected)) {
            throw new InputException(file.path(), key, "shape " + file.entry(key).shape(), expected
                    + ", as the weight has shape " + file.entry(weight).shape());
        }
    }

    private static boolean isCopy(String name) {
        return name.contains(PeftKeys.ORIGINAL_MODULE) || name.contains(PeftKeys.MODULES_TO_SAVE);
    }

    private List<Long> shapeOfWhole(String key) {
        List<Long> shape = file.entry(key).shape();
        if (shape.isEmpty() || shape.size() > 2 || shape.contains(0L)) {
            throw new InputException(file.path(), key, "shape " + shape,
                    "[rows, columns] of a weight or [n] of a bias or a norm's weight");
        }
        return shape;
    }

    /** Reads all parameters. */
    private void fill(FlatParameters parameters) {
        Map<String, Tensor> values = new HashMap<>();
        try {
            parameters.layout().names().forEach(name -> values.put(name, readFinite(name)));
            parameters.loadParameters(stream, values);
        } finally {
            values.values().forEach(Tensor::close);
        }
    }

    /** The module paths that the file's tensors name, in order. */
    private Set<String> paths(String keyA, String keyB, String[] suffixes) {
        Set<String> paths = new TreeSet<>(NaturalOrder.INSTANCE);
        for (String name : file.names()) {
            for (String suffix : suffixes) {
                for (String key : new String[] {keyA + suffix, keyB + suffix}) {
                    if (name.startsWith(PeftKeys.MODULE_PREFIX) && name.endsWith(key)
                            && name.length() > PeftKeys.MODULE_PREFIX.length() + key.length()) {
                        paths.add(name.substring(PeftKeys.MODULE_PREFIX.length(), name.length() - key.length()));
                    }
                }
            }
        }
        return paths;
    }

    /** Requires all tensors of each module, and refuses anything else in the file. */
    private void check(String keyA, String keyB, String[] suffixes, Set<String> others, Set<String> paths,
            List<WholeParameter> whole) {
        Set<String> expected = new HashSet<>(others);
        whole.forEach(parameter -> expected.add(parameter.key()));
        for (String path : paths) {
            for (String suffix : suffixes) {
                expected.add(PeftKeys.MODULE_PREFIX + path + keyA + suffix);
                expected.add(PeftKeys.MODULE_PREFIX + path + keyB + suffix);
            }
        }
        String what = PeftKeys.MODULE_PREFIX + "<module>" + keyA + suffixes[0];
        boolean copies = config.modules().bias() == Bias.ALL;
        for (String name : file.names()) {
            if (!expected.contains(name) && !(copies && ModelParameter.isBias(name) && isCopy(name))) {
                throw new InputException(file.path(), name,
                        "a tensor that is no part of a " + config.peftType() + " adapter", "names like " + what
                                + (config.modulesToSave().isEmpty() ? ", as there are no modules_to_save"
                                        : ", or those of modules_to_save " + config.modulesToSave())
                                + " and bias is \"" + config.bias() + '"');
            }
        }
        for (String name : new TreeSet<>(expected)) {
            if (!file.contains(name)) {
                throw new InputException(file.path(), name, "no tensor of this name", "all tensors of each module");
            }
        }
        if (config.modules().adaptsNothing()) {
            checkOnlyWhole(paths, whole);
        } else if (paths.isEmpty()) {
            throw new InputException(file.path(), "", "no adapted module", "names like " + what);
        }
        config.modules().checkSelects(paths, PeftFormat.WEIGHTS_FILE);
    }

    private void checkOnlyWhole(Set<String> paths, List<WholeParameter> whole) {
        if (!paths.isEmpty()) {
            throw new InputException(config.source(), "target_modules", '"' + ModuleSelector.DUMMY_TARGET_MODULES
                    + "\", but the file holds updates of " + paths.iterator().next(), "the modules that are adapted");
        }
        if (whole.isEmpty()) {
            throw new InputException(file.path(), "", "no module to save, and none is adapted",
                    "parameters of modules_to_save " + config.modulesToSave());
        }
    }

    /** Requires a shape, -1 standing for any size; {@code keys} are those of the configuration that demand it. */
    private List<Long> expect(String name, String keys, long... dimensions) {
        Entry entry = file.entry(name);
        boolean fits = entry.shape().size() == dimensions.length;
        for (int i = 0; fits && i < dimensions.length; i++) {
            fits = dimensions[i] < 0 || dimensions[i] == entry.shape().get(i);
        }
        if (!fits) {
            String expected = Arrays.toString(dimensions).replace("-1", "*");
            throw new InputException(file.path(), name, "shape " + entry.shape(),
                    expected + " by " + keys + " in " + AdapterConfig.FILE_NAME);
        }
        return entry.shape();
    }

    private Tensor readFinite(String name) {
        storedDtypes.put(name, file.entry(name).dtype());
        Tensor tensor = file.readFloat32(name);
        try {
            Floats.requireFinite(file.path().toString(), name, tensor);
            return tensor;
        } catch (RuntimeException | Error e) {
            tensor.close();
            throw e;
        }
    }

    private void fill(String name, Tensor destination) {
        storedDtypes.put(name, file.entry(name).dtype());
        try (Tensor values = file.readFloat32(name)) {
            destination.copyFrom(values);
        }
    }
}
