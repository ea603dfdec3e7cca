package io.vblora.adapter;

import io.vblora.InputException;
import io.vblora.adapter.peft.PeftFile;
import io.vblora.adapter.peft.PeftKeys;
import io.vblora.adapter.peft.StoredForm;
import io.vblora.kernels.Stream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;

/** Reads a folder of PEFT, whatever the method, and checks that its configuration and its tensors agree. */
final class AdapterReader {
    private final AdapterConfig config;
    private final PeftFile file;
    private final BaseWeights base;

    private AdapterReader(AdapterConfig config, PeftFile file, List<ModelParameter> parameters) {
        this.config = config;
        this.file = file;
        this.base = new BaseWeights(config.source(), parameters);
    }

    static Adapter read(Path folder, List<ModelParameter> parameters, Stream stream) {
        return AdapterFolder.files(folder).read(() -> {
            Adapter adapter = readOnce(folder, parameters, stream);
            try {
                adapter.setTaskConfig(AdapterFolder.readTaskConfig(folder));
                return adapter;
            } catch (RuntimeException | Error e) {
                adapter.close();
                throw e;
            }
        });
    }

    private static Adapter readOnce(Path folder, List<ModelParameter> parameters, Stream stream) {
        AdapterConfig config = AdapterConfig.read(folder);
        Path weights = folder.resolve(PeftKeys.WEIGHTS_FILE);
        if (!Files.exists(weights) && Files.exists(folder.resolve("adapter_model.bin"))) {
            throw new InputException(folder, "", "only adapter_model.bin", PeftKeys.WEIGHTS_FILE);
        }
        try (PeftFile file = PeftFile.open(weights)) {
            return new AdapterReader(config, file, parameters).adapter(stream);
        }
    }

    private Adapter adapter(Stream stream) {
        StoredForm form = config.form(file);
        Set<String> paths = paths(form);
        List<WholeParameter> whole = whole(form, paths);
        check(form, paths, whole);
        List<ModuleShape> shapes = paths.stream().map(path -> config.shape(path, file, base)).toList();
        Composition composition = config.read(shapes, file, base, stream);
        return Adapter.assemble(config, shapes, whole, composition, file.dtypes(), parameters -> {
            file.readFinite(parameters.layout(), parameters.values());
            parameters.changed();
        });
    }

    /** The module paths that the file's tensors name, in order. */
    private Set<String> paths(StoredForm form) {
        Set<String> paths = new TreeSet<>(NaturalOrder.INSTANCE);
        for (String name : file.names()) {
            form.path(name).ifPresent(paths::add);
        }
        return paths;
    }

    /**
     * The parameters of the model that are held whole: those of modules to save, and biases. With bias "all" PEFT
     * (0.21) writes each bias of a module to save three times: as the module's, and also, which is of no use, as that
     * of the module that it replaced and under PEFT's own name for the copy.
     *
     * @param adapted paths of the adapted modules
     */
    private List<WholeParameter> whole(StoredForm form, Set<String> adapted) {
        List<WholeParameter> whole = new ArrayList<>();
        for (String key : file.names()) {
            if (!key.startsWith(PeftKeys.MODULE_PREFIX) || form.moduleKeys().stream().anyMatch(key::endsWith)) {
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

    /** A bias needs a weight of the same module, which it must fit; a weight needs no bias. */
    private void checkBias(String key, String module) {
        String weight = PeftKeys.MODULE_PREFIX + module + PeftKeys.WEIGHT;
        if (!file.contains(weight)) {
            throw new InputException(file.path(), weight, "no tensor of this name", "the weight of " + module
                    + ", as there is its bias");
        }
        List<Long> expected = shapeOfWhole(weight).subList(0, 1);
        if (!file.shape(key).equals(expected)) {
            throw new InputException(file.path(), key, "shape " + file.shape(key), expected
                    + ", as the weight has shape " + file.shape(weight));
        }
    }

    private static boolean isCopy(String name) {
        return name.contains(PeftKeys.ORIGINAL_MODULE) || name.contains(PeftKeys.MODULES_TO_SAVE);
    }

    private List<Long> shapeOfWhole(String key) {
        List<Long> shape = file.shape(key);
        if (shape.isEmpty() || shape.size() > 2 || shape.contains(0L)) {
            throw new InputException(file.path(), key, "shape " + shape,
                    "[rows, columns] of a weight or [n] of a bias or a norm's weight");
        }
        return shape;
    }

    /** Requires all tensors of each module, and refuses any other tensor in the file. */
    private void check(StoredForm form, Set<String> paths, List<WholeParameter> whole) {
        Set<String> expected = new HashSet<>(form.sharedNames());
        whole.forEach(parameter -> expected.add(parameter.key()));
        for (String path : paths) {
            form.moduleKeys().forEach(key -> expected.add(PeftKeys.of(path, key)));
        }
        String what = PeftKeys.of("<module>", form.moduleKeys().get(0));
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
        config.modules().checkSelects(paths, PeftKeys.WEIGHTS_FILE);
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
}
