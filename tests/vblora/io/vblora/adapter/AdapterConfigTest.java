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
import io.vblora.adapter.methods.lora.LoraConfig;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
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

    /** MiniLM's dimensions, Llama 2's, those of a Llama of 260 thousand parameters, and some that share no divisor. */
    @ParameterizedTest
    @CsvSource({"384, 1536, 192", "4096, 11008, 256", "64, 172, 4", "7, 5, 1", "257, 257, 1", "1024, 255, 1",
        "510, 255, 255"})
    void findsTheLongestVectorsThatFit(long hidden, long intermediate, int expected) {
        List<ModuleShape> linears = List.of(new ModuleShape("up", hidden, intermediate),
                new ModuleShape("down", intermediate, hidden), new ModuleShape("other", 11, 13));
        VbLoraConfig.Builder builder = VbLoraConfig.builder().targetModules(List.of("up", "down"));
        assertEquals(expected, builder.vectorLengthFor(linears).build().vectorLength());
        assertThrows(InputException.class, () -> VbLoraConfig.builder().targetModules(List.of("none"))
                .vectorLengthFor(linears));
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
        "bias; \"some\"", "bias; 3", "modules_to_save; \"score\"", "modules_to_save; [7]",
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
        "use_dora; true", "lora_alpha; -1", "lora_alpha; \"8\"", "rank_pattern; 3", "rank_pattern; {\"(\":3}",
        "alpha_pattern; [1]", "ensure_weight_tying; 1", "init_lora_weights; \"pissa\"",
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
    void refusesBadValuesOfPatterns() throws IOException {
        for (String bad : List.of("rank_pattern; {\"q\":0}", "rank_pattern; {\"q\":2.5}", "rank_pattern; {\"q\":null}",
                "alpha_pattern; {\"q\":-1}", "alpha_pattern; {\"q\":\"8\"}")) {
            String[] keyAndValue = bad.split("; ");
            write("{\"peft_type\":\"LORA\",\"" + keyAndValue[0] + "\":" + keyAndValue[1] + "}");
            InputException e = assertThrows(InputException.class, () -> AdapterConfig.read(folder), bad);
            assertEquals(keyAndValue[0] + ".q", e.field(), e.getMessage());
        }
    }

    @Test
    void saysWhatAVariantIsAndHowItIsSwitchedOff() throws IOException {
        write("{\"peft_type\":\"LORA\",\"use_dora\":true}");
        InputException dora = assertThrows(InputException.class, () -> AdapterConfig.read(folder));
        assertEquals("false: DoRA is not supported", dora.expected());
        write("{\"peft_type\":\"LORA\",\"layer_replication\":[[0,4]]}");
        InputException layers = assertThrows(InputException.class, () -> AdapterConfig.read(folder));
        assertEquals("null: replicated layers are not supported", layers.expected());
    }

    /** By get_pattern_key in PEFT's utils/other.py: re.match(rf"(.*\.)?({key})$", path), the first key that matches. */
    @Test
    void patternsGiveModulesTheirOwnRankAndAlpha() throws IOException {
        Path file = write("{\"peft_type\":\"LORA\",\"r\":8,\"lora_alpha\":16,\"rank_pattern\":{\"v_proj\":2,"
                + "\"self_attn.(q|v)_proj\":4,\"^model.up\":16},\"alpha_pattern\":{\"layers\\\\.[0-1]\\\\..*\":3.5}}");
        LoraConfig config = (LoraConfig) AdapterConfig.read(file);
        assertEquals(2, config.r("layers.0.self_attn.v_proj"));
        assertEquals(2, config.r("v_proj"));
        assertEquals(4, config.r("layers.0.self_attn.q_proj"));
        assertEquals(8, config.r("layers.0.my_v_proj"));
        assertEquals(8, config.r("layers.0.v_proj.x"));
        assertEquals(16, config.r("model.up"));
        assertEquals(8, config.r("a.model.up"));
        assertEquals(8, config.r());
        assertEquals(3.5 / 2, config.scaling("layers.0.self_attn.v_proj"));
        assertEquals(16.0 / 4, config.scaling("layers.2.self_attn.q_proj"));
        assertEquals(2, config.scaling("layers.2.down"));
        assertEquals(3.5 / Math.sqrt(2),
                config.toBuilder().useRslora(true).build().scaling("layers.0.self_attn.v_proj"));
        // The order of the patterns decides, and is kept.
        config.write(file);
        assertEquals(2, AdapterConfig.read(file).r("layers.0.self_attn.v_proj"));
        Map<String, Integer> ranks = new LinkedHashMap<>();
        ranks.put("self_attn.v_proj", 4);
        ranks.put("a.*", 3);
        LoraConfig.builder().rankPattern(ranks).alphaPattern(Map.of("a", 4.0)).build().write(file);
        assertEquals(4, AdapterConfig.read(file).r("a.self_attn.v_proj"));
        assertEquals(4.0 / 3, ((LoraConfig) AdapterConfig.read(file)).scaling("a"));
    }

    @Test
    void notesWhatHasNoEffect() throws IOException {
        assertEquals(List.of(), VbLoraConfig.builder().build().notes());
        assertEquals(List.of(), LoraConfig.builder().build().notes());
        assertEquals(List.of(), AdapterConfig.read(Golden.own("storage/conv1d_h16_topk")).notes());
        assertEquals(List.of(), AdapterConfig.read(Golden.own("seqcls/bert/lora")).notes());
        Path file = write("{\"peft_type\":\"VBLORA\",\"use_dora\":true,\"lora_alpha\":8,\"from_the_future\":\"x\","
                + "\"another\":null,\"peft_version\":\"0.21.0\",\"revision\":\"main\"}");
        assertEquals(List.of(file + ": \"use_dora\", \"lora_alpha\", \"from_the_future\": without effect, not among "
                + "the keys of VBLORA"), AdapterConfig.read(file).notes());
        write("{\"peft_type\":\"VBLORA\",\"target_modules\":\".*up\",\"layers_to_transform\":0}");
        assertEquals(List.of(file + ": layers_to_transform: without effect, as target_modules is not a list of names"),
                AdapterConfig.read(file).notes());
        write("{\"peft_type\":\"LORA\",\"num_vectors\":8,\"eva_config\":{\"rho\":2},\"loftq_config\":{},"
                + "\"runtime_config\":{\"ephemeral_gpu_offload\":true},\"ensure_weight_tying\":true,"
                + "\"target_modules\":[\"q_proj\"],\"megatron_core\":\"megatron.core\",\"qalora_group_size\":16}");
        assertEquals(List.of(file + ": \"num_vectors\": without effect, not among the keys of LORA",
                file + ": eva_config: without effect, it says how PEFT began to train",
                file + ": runtime_config: without effect, it is about PEFT's own memory",
                file + ": ensure_weight_tying: without effect, as neither an embedding nor the output head is adapted"),
                AdapterConfig.read(file).notes());
    }

    @Test
    void refusesUpdatesThatTiedLayersShare() throws IOException {
        for (String named : List.of("\"target_modules\":[\"q_proj\",\"lm_head\"]",
                "\"modules_to_save\":[\"model.embed_tokens\"]", "\"target_modules\":\".*(q_proj|lm_head)\"")) {
            write("{\"peft_type\":\"LORA\",\"ensure_weight_tying\":true," + named + "}");
            InputException e = assertThrows(InputException.class, () -> AdapterConfig.read(folder), named);
            assertEquals("ensure_weight_tying", e.field());
        }
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
