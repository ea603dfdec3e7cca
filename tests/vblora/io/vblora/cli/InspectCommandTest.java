package io.vblora.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.vblora.Golden;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterConfig;
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.kernels.Tensor;
import io.vblora.weights.SafetensorsWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class InspectCommandTest {
    /** Sum of in + out over the linear layers of tinyrand's five blocks: hidden 64, key/value 32, intermediate 176. */
    private static final long IN_PLUS_OUT = 5 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 176));

    @TempDir
    Path folder;

    private static JsonNode json(Path path) throws IOException {
        return new ObjectMapper().readTree(CommandLineRun.of("inspect", path, "--json").assertDone().out());
    }

    @Test
    void describesAnAdapterExactly() throws IOException {
        Path adapter = Golden.own("traj/tinyrand_b16/adapter_init");
        long written = Files.size(adapter.resolve("adapter_model.safetensors"));
        JsonNode report = json(adapter);
        assertEquals("VBLORA", report.get("peft_type").asText());
        assertEquals(4, report.get("r").asInt());
        assertEquals(64, report.get("num_vectors").asInt());
        assertEquals(16, report.get("vector_length").asInt());
        assertEquals(2, report.get("topk").asInt());
        assertEquals(35, report.get("modules").asInt());
        assertEquals(64 * 16 + 4 * IN_PLUS_OUT / 16 * 64, report.get("parameters").asLong());
        assertEquals(report.get("parameters").asLong(), report.get("stored_numbers").asLong());
        assertEquals(4 * report.get("parameters").asLong(), report.get("stored_tensor_bytes").asLong());
        assertEquals(written, report.get("stored_file_bytes").asLong());
        assertEquals(written, report.get("bytes_with_all_logits").asLong());
        assertEquals(71, report.get("tensors").size());
        JsonNode tensor = report.get("tensors").get(0);
        assertEquals("base_model.model.model.layers.0.mlp.down_proj.vblora_logits_A", tensor.get("name").asText());
        assertEquals("[4,11,64]", tensor.get("shape").toString());
        assertEquals("F32", tensor.get("dtype").asText());
        assertEquals(4 * 4 * 11 * 64, tensor.get("bytes").asInt());
    }

    @Test
    void saysOfAnotherFileThatItIsNone() throws IOException {
        for (String content : List.of("", "text,label\n", "text,label\nthe bank,one\n")) {
            Path file = Files.writeString(folder.resolve("train.csv"), content);
            CommandLineRun.of("inspect", file).assertError(1, file + ": found a file in another format; expected an "
                    + "adapter's folder (adapter_config.json), a model's folder (config.json) or a safetensors file.");
        }
        Path blob = Files.copy(Golden.own("traj/tinyrand_b16/adapter_init/adapter_model.safetensors"),
                folder.resolve("blob"));
        assertEquals("safetensors", json(blob).get("kind").asText());
    }

    @Test
    void showsTheSameToPeople() {
        String out = CommandLineRun.of("inspect", Golden.own("traj/tinyrand_b16/adapter_init")).assertDone().out();
        assertTrue(out.contains("num vectors                   64\n"), out);
        assertTrue(out.contains("modules to save               none\n"), out);
        assertTrue(out.contains("stored file bytes             387,032\n"), out);
        assertTrue(out.startsWith("tensors\n"), out);
        assertTrue(out.contains("  base_model.vblora_vector_bank F32 [64,16], 4,096 bytes\n"), out);
        assertTrue(out.endsWith("\nstored file bytes             387,032\n"), out);
    }

    @Test
    void showsRanksOfTheModulesOwn() throws IOException {
        LoraConfig.builder().r(1).targetModules(List.of("x")).rankPattern(Map.of("a.x", 2)).build()
                .write(folder.resolve(AdapterConfig.FILE_NAME));
        try (Tensor a = Tensor.of(new float[6], 2, 3); Tensor b = Tensor.of(new float[8], 4, 2)) {
            new SafetensorsWriter().addAll(Map.of("base_model.model.a.x.lora_A.weight", a,
                    "base_model.model.a.x.lora_B.weight", b)).write(folder.resolve(Adapter.WEIGHTS_FILE));
        }
        JsonNode report = json(folder);
        assertEquals("1 {\"a.x\":2}", report.get("r") + " " + report.get("rank_pattern"));
        assertEquals(14, report.get("parameters").asInt());
        String out = CommandLineRun.of("inspect", folder).assertDone().out();
        assertTrue(out.contains("\nrank pattern                  {\"a.x\":2}\n"), out);
        assertFalse(out.contains("alpha pattern"), out);
    }

    @Test
    void describesAModelInShards() throws IOException {
        Path model = Golden.own("models/tinyrand");
        JsonNode report = json(model);
        assertEquals("model", report.get("kind").asText());
        assertEquals("llama", report.get("model_type").asText());
        long linears = 5 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 176);
        assertEquals(2 * 512 * 64 + linears + (2 * 5 + 1) * 64, report.get("stored_numbers").asLong());
        assertEquals(Files.size(model.resolve("model-00001-of-00002.safetensors"))
                + Files.size(model.resolve("model-00002-of-00002.safetensors")),
                report.get("stored_file_bytes").asLong());
    }

    @Test
    void describesASafetensorsFile() throws IOException {
        JsonNode report = json(Golden.own("traj/tinyrand_b16/batches.safetensors"));
        assertEquals("safetensors", report.get("kind").asText());
        assertEquals("[60,4,64]", report.get("tensors").get(0).get("shape").toString());
    }

    @Test
    void escapesControlCharactersInNames() throws IOException {
        Path file = folder.resolve("names.safetensors");
        try (Tensor tensor = Tensor.of(new float[] {1}, 1)) {
            new SafetensorsWriter().addAll(Map.of("red\33[31m", tensor)).write(file);
        }
        String out = CommandLineRun.of("inspect", file).assertDone().out();
        assertTrue(out.contains("  red\\u001b[31m F32 [1], 4 bytes\n"), out);
    }

    @Test
    void refusesWhatIsNeither() throws IOException {
        CommandLineRun.of("inspect", folder.resolve("none")).assertError(1, folder.resolve("none")
                + ": found no such file or folder; expected an adapter's folder");
        CommandLineRun.of("inspect", folder).assertError(1, folder
                + ": found a folder with neither adapter_config.json nor config.json");
        Path file = Files.writeString(folder.resolve("broken.safetensors"), "no safetensors file at all");
        CommandLineRun.of("inspect", file).assertError(1, file.toString());
        Files.writeString(folder.resolve("adapter_config.json"), "{\"peft_type\": \"IA3\"}");
        CommandLineRun.of("inspect", folder)
                .assertError(1, folder.resolve("adapter_config.json") + ": peft_type: found \"IA3\"");
    }
}
