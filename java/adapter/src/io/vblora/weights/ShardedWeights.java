package io.vblora.weights;

import com.fasterxml.jackson.databind.JsonNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.kernels.Tensor;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;

/** The safetensors shards that an index lists, read as one. */
final class ShardedWeights implements WeightSource {
    static final String INDEX = "model.safetensors.index.json";

    private final Path index;
    private final Map<String, SafetensorsFile> shardOf = new LinkedHashMap<>();
    private final Map<String, SafetensorsFile> shards = new HashMap<>();

    private ShardedWeights(Path index) {
        this.index = index;
    }

    static ShardedWeights open(Path index) {
        ShardedWeights weights = new ShardedWeights(index);
        try {
            weights.openShards();
            return weights;
        } catch (RuntimeException | Error e) {
            weights.close();
            throw e;
        }
    }

    private void openShards() {
        for (Map.Entry<String, JsonNode> e : JsonFields.read(index).object("weight_map").object().properties()) {
            String name = e.getKey();
            SafetensorsFile shard = shards.computeIfAbsent(fileName(name, e.getValue()),
                    file -> SafetensorsFile.open(index.resolveSibling(file)));
            if (!shard.contains(name)) {
                throw new InputException(index, "weight_map." + name, "no such tensor in " + shard.path().getFileName(),
                        "the file that holds it");
            }
            shardOf.put(name, shard);
        }
    }

    /** Only files of the index's own folder are opened. */
    private String fileName(String name, JsonNode value) {
        String file = value.isTextual() ? value.textValue() : "";
        if (!file.endsWith(".safetensors") || file.contains("/") || file.contains("\\") || file.indexOf('\0') >= 0) {
            throw new InputException(index, "weight_map." + name, value.toString(),
                    "the name of a .safetensors file in the same folder");
        }
        return file;
    }

    private SafetensorsFile shard(String name) {
        SafetensorsFile shard = shardOf.get(name);
        if (shard == null) {
            throw new InputException(index, name, "no tensor of this name",
                    "one of the index's " + shardOf.size() + " tensors");
        }
        return shard;
    }

    @Override
    public Set<String> names() {
        return Collections.unmodifiableSet(shardOf.keySet());
    }

    @Override
    public Entry entry(String name) {
        return shard(name).entry(name);
    }

    @Override
    public Path file(String name) {
        return shard(name).path();
    }

    @Override
    public void readInto(String name, Tensor destination) {
        shard(name).readInto(name, destination);
    }

    @Override
    public Tensor readFloat32(String name) {
        return shard(name).readFloat32(name);
    }

    @Override
    public void close() {
        shards.values().forEach(SafetensorsFile::close);
    }
}
