package io.vblora.adapter;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.Golden;
import io.vblora.InputException;
import io.vblora.JsonFields;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AdapterConfigTest {
    @TempDir
    private Path folder;

    private Path write(String json) throws IOException {
        return Files.writeString(folder.resolve(AdapterConfig.FILE_NAME), json);
    }

    @Test
    void readsWhatPeftWrites() {
        VbLoraConfig config = (VbLoraConfig) AdapterConfig.read(Golden.own("storage/conv1d_h16_topk"));
        assertEquals("VBLORA", config.peftType());
        assertEquals(2, config.r());
        assertEquals(16, config.numVectors());
        assertEquals(4, config.vectorLength());
        assertEquals(2, config.topk());
        assertTrue(config.saveOnlyTopkWeights());
        assertTrue(config.fanInFanOut());
        assertEquals(0.02, config.initVectorBankBound());
        assertEquals(0.1, config.initLogitsStd());
        assertEquals(0, config.dropout());
        assertNull(config.baseModelNameOrPath());
        assertNull(config.taskType());
    }

    @Test
    void writesPeftsText() throws IOException {
        Path peft = Golden.own("storage/conv1d_h16_topk").resolve(AdapterConfig.FILE_NAME);
        Path ours = folder.resolve(AdapterConfig.FILE_NAME);
        AdapterConfig.read(peft).write(ours);
        assertEquals(Files.readString(peft), Files.readString(ours));
    }

    @Test
    void hasPeftsDefaults() throws IOException {
        // The defaults of PEFT's VBLoRAConfig and LoraConfig.
        VbLoraConfig vbLora = (VbLoraConfig) AdapterConfig.read(write("{\"peft_type\":\"VBLORA\"}"));
        for (VbLoraConfig config : List.of(vbLora, VbLoraConfig.builder().build())) {
            assertEquals(4, config.r());
            assertEquals(256, config.numVectors());
            assertEquals(256, config.vectorLength());
            assertEquals(2, config.topk());
            assertEquals(0, config.dropout());
            assertEquals(0.02, config.initVectorBankBound());
            assertEquals(0.1, config.initLogitsStd());
            assertFalse(config.saveOnlyTopkWeights());
            assertFalse(config.fanInFanOut());
        }
        LoraConfig lora = (LoraConfig) AdapterConfig.read(write("{\"peft_type\":\"LORA\"}"));
        for (LoraConfig config : List.of(lora, LoraConfig.builder().build())) {
            assertEquals(8, config.r());
            assertEquals(8, config.loraAlpha());
            assertEquals(1, config.scaling());
            assertFalse(config.useRslora());
        }
        assertEquals(8, LoraConfig.builder().r(4).loraAlpha(16).useRslora(true).build().scaling());
    }

    @Test
    void aNewConfigurationHasPeftsKeys() {
        ObjectNode peft = JsonFields.read(Golden.own("storage/conv1d_h16_topk").resolve(AdapterConfig.FILE_NAME))
                .object();
        // PEFT fills in its own version.
        peft.remove("peft_version");
        List<String> expected = new ArrayList<>();
        peft.fieldNames().forEachRemaining(expected::add);
        List<String> found = new ArrayList<>();
        VbLoraConfig.builder().build().json().fieldNames().forEachRemaining(found::add);
        assertEquals(expected.stream().sorted().toList(), found.stream().sorted().toList());
    }

    @Test
    void keepsUnknownKeysAndAddsNone() throws IOException {
        Path file = write("{\"peft_type\":\"VBLORA\",\"r\":2,\"layers_to_transform\":3,"
                + "\"from_the_future\":{\"a\":[1,null]}}");
        ObjectNode before = JsonFields.read(file).object();
        AdapterConfig.read(file).write(file);
        assertEquals(before, JsonFields.read(file).object());
        ((VbLoraConfig) AdapterConfig.read(file)).toBuilder().topk(3).build().write(file);
        assertEquals(before.put("topk", 3), JsonFields.read(file).object());
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
        "r; 0", "r; -4", "r; 2.5", "r; \"4\"", "r; 1000000000000", "r; [4]", "r; true",
        "num_vectors; 0", "num_vectors; -1", "num_vectors; 1e30", "num_vectors; 99999999999999999999999",
        "vector_length; 0", "vector_length; 4294967297", "vector_length; {}",
        "topk; 0", "topk; 257", "topk; \"2\"",
        "vblora_dropout; -0.1", "vblora_dropout; 1", "vblora_dropout; 1.5", "vblora_dropout; \"none\"",
        "vblora_dropout; 1e999",
        "init_vector_bank_bound; -1", "init_logits_std; -0.1", "init_logits_std; 1e300",
        "save_only_topk_weights; 1", "save_only_topk_weights; \"true\"", "fan_in_fan_out; \"no\"",
        "bias; \"all\"", "bias; 3", "modules_to_save; \"score\"", "modules_to_save; [7]",
        "task_type; \"CHAT\"", "task_type; 7",
        "base_model_name_or_path; 5", "peft_type; \"IA3\"", "peft_type; null",
        "target_modules; 5", "target_modules; [\"a\",5]", "target_modules; [\"\"]", "target_modules; \"(\"",
        "exclude_modules; {}",
        "layers_to_transform; -1", "layers_to_transform; \"1\"", "layers_to_transform; [1.5]",
        "layers_to_transform; [[1]]",
        "layers_pattern; 5",
    })
    void refusesABadValue(String key, String value) throws IOException {
        ObjectNode json = VbLoraConfig.builder().build().json();
        json.putRawValue(key, new com.fasterxml.jackson.databind.util.RawValue(value));
        Path file = write(json.toString());
        InputException e = assertThrows(InputException.class, () -> AdapterConfig.read(folder));
        assertEquals(file.toString(), e.source());
        assertEquals(key, e.field(), e.getMessage());
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', quoteCharacter = '`', value = {
        "use_dora; true", "lora_alpha; -1", "lora_alpha; \"8\"", "rank_pattern; {\"q\":3}",
        "init_lora_weights; \"pissa\"",
        "init_lora_weights; {}", "lora_bias; true", "target_parameters; [\"w\"]", "use_rslora; 1", "lora_dropout; -1",
        "layer_replication; [[0,4],[2,5]]",
    })
    void refusesWhatLoraCannotDoHere(String key, String value) throws IOException {
        ObjectNode json = LoraConfig.builder().build().json();
        json.putRawValue(key, new com.fasterxml.jackson.databind.util.RawValue(value));
        write(json.toString());
        InputException e = assertThrows(InputException.class, () -> AdapterConfig.read(folder));
        assertEquals(key, e.field(), e.getMessage());
    }

    @Test
    void builderChecksToo() {
        InputException e = assertThrows(InputException.class,
                () -> VbLoraConfig.builder().numVectors(4).topk(5).build());
        assertEquals("topk", e.field());
        assertEquals("5", e.found());
        assertTrue(e.expected().contains("4"), e.getMessage());
        assertThrows(InputException.class, () -> VbLoraConfig.builder().vbloraDropout(Double.NaN).build());
        assertThrows(InputException.class, () -> LoraConfig.builder().loraAlpha(Double.POSITIVE_INFINITY).build());
        assertThrows(InputException.class, () -> VbLoraConfig.builder().layersPattern(List.of("h")).build());
    }

    @Test
    void refusesBrokenJson() throws IOException {
        for (String json : List.of("", "[]", "{\"peft_type\":\"VBLORA\",\"r\":1,\"r\":2}",
                "{\"peft_type\":\"VBLORA\"} x", "{")) {
            Path file = write(json);
            InputException e = assertThrows(InputException.class, () -> AdapterConfig.read(folder), json);
            assertEquals(file.toString(), e.source());
        }
        Path none = folder.resolve("none");
        assertThrows(InputException.class, () -> AdapterConfig.read(none));
    }
}
