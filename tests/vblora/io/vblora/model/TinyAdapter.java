package io.vblora.model;

import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.ModuleShape;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.kernels.Tensor;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;

/** A random adapter for some modules of a model: PEFT's folder, and its parameters for the reference. */
record TinyAdapter(Path folder, AdapterConfig config, ReferenceAdapter reference) {

    static TinyAdapter write(Path folder, Random random, AdapterConfig config, List<ModuleShape> modules)
            throws IOException {
        return write(folder, random, config, modules, List.of());
    }

    /** @param heads trained whole */
    static TinyAdapter write(Path folder, Random random, AdapterConfig config, List<ModuleShape> modules,
            List<ModuleShape> heads) throws IOException {
        Map<String, long[]> shapes = new LinkedHashMap<>();
        Map<String, Double> spread = new LinkedHashMap<>();
        if (config instanceof VbLoraConfig vbLora) {
            long h = vbLora.numVectors();
            long b = vbLora.vectorLength();
            shapes.put(ReferenceAdapter.BANK, new long[] {h, b});
            for (ModuleShape module : modules) {
                shapes.put(ReferenceAdapter.name(module, "vblora_logits_A"),
                        new long[] {vbLora.r(), module.inFeatures() / b, h});
                shapes.put(ReferenceAdapter.name(module, "vblora_logits_B"),
                        new long[] {module.outFeatures() / b, vbLora.r(), h});
            }
            spread.put(ReferenceAdapter.BANK, 0.2);
        } else {
            for (ModuleShape module : modules) {
                String a = ReferenceAdapter.name(module, "lora_A.weight");
                String b = ReferenceAdapter.name(module, "lora_B.weight");
                int r = ReferenceAdapter.ofModule(config, "rank_pattern", module, config.r()).intValue();
                shapes.put(a, new long[] {r, module.inFeatures()});
                shapes.put(b, new long[] {module.outFeatures(), r});
                spread.put(a, 0.2);
                spread.put(b, 0.2);
            }
        }
        for (ModuleShape head : heads) {
            String weight = ReferenceAdapter.name(head, "weight");
            shapes.put(weight, new long[] {head.outFeatures(), head.inFeatures()});
            shapes.put(ReferenceAdapter.name(head, "bias"), new long[] {head.outFeatures()});
            spread.put(weight, 1 / Math.sqrt(head.inFeatures()));
        }
        Map<String, double[]> parameters = new LinkedHashMap<>();
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        shapes.forEach((name, shape) -> {
            float[] values = new float[(int) Arrays.stream(shape).reduce(1, (x, y) -> x * y)];
            double[] wide = new double[values.length];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) (spread.getOrDefault(name, 1.0) * random.nextGaussian());
                wide[i] = values[i];
            }
            parameters.put(name, wide);
            tensors.put(name, Tensor.of(values, shape));
        });
        Files.createDirectories(folder);
        new SafetensorsWriter().addAll(tensors).write(folder.resolve("adapter_model.safetensors"));
        tensors.values().forEach(Tensor::close);
        config.write(folder.resolve(AdapterConfig.FILE_NAME));
        return new TinyAdapter(folder, config, new ReferenceAdapter(config, modules, parameters));
    }

    /** The linear layers of a model's head. */
    static List<ModuleShape> heads(SequenceModel model) {
        return model.parameters().stream().filter(parameter -> parameter.isHead() && parameter.shape().size() == 2)
                .map(weight -> new ModuleShape(weight.name().replace(".weight", ""), weight.shape().get(1),
                        weight.shape().get(0))).toList();
    }

    /** A random configuration of a method for these modules, whose dimensions are multiples of a number. */
    static AdapterConfig config(Random random, boolean vbLora, int multiple, List<ModuleShape> modules,
            double dropout) {
        return config(random, vbLora, multiple, modules, List.of(), dropout);
    }

    /** @param heads trained whole */
    static AdapterConfig config(Random random, boolean vbLora, int multiple, List<ModuleShape> modules,
            List<ModuleShape> heads, double dropout) {
        List<String> paths = modules.stream().map(ModuleShape::path).toList();
        List<String> saved = heads.stream().map(ModuleShape::path).toList();
        if (vbLora) {
            int h = 2 + random.nextInt(10);
            return VbLoraConfig.builder().r(1 + random.nextInt(4)).targetModules(paths).vectorLength(multiple)
                    .numVectors(h).topk(1 + random.nextInt(Math.min(h, 4))).vbloraDropout(dropout)
                    .modulesToSave(saved).build();
        }
        LoraConfig.Builder lora = LoraConfig.builder().r(1 + random.nextInt(4)).targetModules(paths)
                .loraAlpha(1 + random.nextInt(4)).useRslora(random.nextBoolean()).loraDropout(dropout)
                .modulesToSave(saved);
        if (random.nextBoolean()) {
            Map<String, Integer> ranks = new LinkedHashMap<>();
            Map<String, Double> alphas = new LinkedHashMap<>();
            paths.forEach(path -> {
                if (random.nextBoolean()) {
                    ranks.put(path, 1 + random.nextInt(6));
                }
                if (random.nextBoolean()) {
                    alphas.put(path, 4 * random.nextDouble());
                }
            });
            lora.rankPattern(ranks).alphaPattern(alphas);
        }
        return lora.build();
    }
}
