package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.adapter.AdapterFolder;
import io.vblora.adapter.methods.vblora.VbLoraConfig;
import io.vblora.model.ProblemType;
import io.vblora.model.SequenceConfig;
import io.vblora.model.config.Pooling;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CausalLmConfigTest {
    private static AdapterFolder folder(byte[] taskConfig) {
        return new AdapterFolder(Path.of("adapter"), VbLoraConfig.builder().build(), taskConfig);
    }

    private static AdapterFolder folder(String taskConfig) {
        return folder(taskConfig.getBytes(StandardCharsets.UTF_8));
    }

    @Test
    void readsWhatItWrites() {
        for (CausalLmConfig config : List.of(
                new CausalLmConfig(null, null, 2),
                new CausalLmConfig(PromptTemplate.column("a {b}\n"), "größer", 512),
                new CausalLmConfig(PromptTemplate.parse("x", "{{}} {a} of\n{ b }{{"), "c", 1024),
                new CausalLmConfig(PromptTemplate.ALPACA, "output", 2048))) {
            assertEquals(Optional.of(config), CausalLmConfig.of(folder(config.json())));
        }
    }

    /** The text itself is written, which makes the prompts that the template made. */
    @Test
    void keepsTheTextOfTheTemplate() {
        CausalLmConfig config = new CausalLmConfig(PromptTemplate.parse("file", "Q: {question}\n{{A}}: "), "answer",
                64);
        assertEquals("""
                {
                  "task_type" : "CAUSAL_LM",
                  "prompt_template" : "Q: {question}\\n{{A}}: ",
                  "response_column" : "answer",
                  "max_seq_length" : 64
                }
                """, new String(config.json(), StandardCharsets.UTF_8));
        CausalLmConfig alpaca = CausalLmConfig.of(folder(new CausalLmConfig(PromptTemplate.ALPACA, "output", 8).json()))
                .orElseThrow();
        for (Map<String, String> row : List.of(Map.of("instruction", "say", "input", "what"),
                Map.of("instruction", "say", "input", " "), Map.of("instruction", "say"))) {
            assertEquals(PromptTemplate.ALPACA.fill(row::get), alpaca.prompt().fill(row::get));
        }
    }

    @Test
    void tellsPromptsApart() {
        PromptTemplate template = PromptTemplate.parse("x", "{a} of {b}");
        assertEquals(template, PromptTemplate.parse("y", "{a} of {b}"));
        assertEquals(PromptTemplate.column("a"), PromptTemplate.parse("y", "{a}"));
        assertNotEquals(template, PromptTemplate.parse("x", "{b} of {a}"));
        assertNotEquals(template, template.without("a", "{b}"));
    }

    /** Files of adapters for sequences do not say what they are, and adapters from elsewhere have no file. */
    @Test
    void leavesOtherTasksAlone() {
        assertEquals(Optional.empty(), CausalLmConfig.of(folder((byte[]) null)));
        byte[] sequences = new SequenceConfig(ProblemType.REGRESSION, Pooling.MEAN, List.of(), 128).json();
        assertEquals(Optional.empty(), CausalLmConfig.of(folder(sequences)));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{\"task_type\": \"SEQ_2_SEQ_LM\"}  | task_type: found \"SEQ_2_SEQ_LM\"; expected CAUSAL_LM, or no such field",
        "{\"task_type\": 1}                 | task_type: found 1",
        "{\"task_type\": \"CAUSAL_LM\"}     | max_seq_length: found nothing",
        "{\"task_type\": \"CAUSAL_LM\", \"max_seq_length\": 1} | max_seq_length: found 1",
        "{\"task_type\": \"CAUSAL_LM\", \"max_seq_length\": 8, \"prompt_column\": \"a\"} | response_column: found "
                + "nothing",
        "{\"task_type\": \"CAUSAL_LM\", \"prompt_template\": \"{a} {b\"} | found a single {",
        "{\"task_type\": \"CAUSAL_LM\", \"prompt_template\": 1} | prompt_template: found 1; expected a string",
        "[] | found a JSON array; expected a JSON object",
    })
    void refusesWhatIsNoTask(String json, String expected) {
        String message = assertThrows(InputException.class, () -> CausalLmConfig.of(folder(json))).getMessage();
        assertTrue(message.startsWith("adapter/task_config.json") && message.contains(expected), message);
    }
}
