package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.vblora.InputException;
import io.vblora.kernels.Stream;
import io.vblora.kernels.Tensor;
import io.vblora.weights.SafetensorsFile;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What a model folder must hold. */
class LlamaModelTest {
    @TempDir
    Path folder;

    private InputException refusal() {
        try (Stream stream = Stream.cpu(1)) {
            return assertThrows(InputException.class, () -> LlamaModel.load(folder, null, stream).close());
        }
    }

    /** Adds a tensor of one number to the model's weights. */
    private void add(String name) throws IOException {
        Path file = folder.resolve("model.safetensors");
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        try (SafetensorsFile weights = SafetensorsFile.open(file)) {
            weights.names().forEach(stored -> tensors.put(stored, weights.read(stored)));
        }
        tensors.put(name, Tensor.of(new float[] {1}, 1));
        new SafetensorsWriter().addAll(tensors).write(file);
        tensors.values().forEach(Tensor::close);
    }

    @Test
    void refusesWeightsOfMoreLayersThanTheConfigurationHas() throws IOException {
        int layers = TinyLlama.write(folder, new Random(3), 2).config().numHiddenLayers();
        add("model.layers.0.self_attn.rotary_emb.inv_freq");
        try (Stream stream = Stream.cpu(1); LlamaModel model = LlamaModel.load(folder, null, stream)) {
            assertEquals(7 * layers + 1, model.linears().size());
        }
        add("model.layers." + (layers + 1) + ".mlp.up_proj.weight");
        InputException e = refusal();
        assertEquals(folder.resolve("config.json").toString(), e.source());
        assertEquals("num_hidden_layers", e.field());
        assertEquals(Integer.toString(layers), e.found());
        assertEquals(layers + 2 + ", as the weights have model.layers." + (layers + 1), e.expected());
    }

    @Test
    void refusesAModelOfSequencesTooShortToPredictAToken() throws IOException {
        TinyLlama.write(folder, new Random(3), 2);
        Path config = folder.resolve("config.json");
        Files.writeString(config, Files.readString(config)
                .replace("\"max_position_embeddings\": 64", "\"max_position_embeddings\": 1"));
        InputException e = refusal();
        assertEquals(config.toString(), e.source());
        assertEquals("max_position_embeddings", e.field());
        assertEquals("1", e.found());
    }
}
