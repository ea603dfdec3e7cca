package io.vblora.model;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.vblora.InputException;
import io.vblora.model.config.Pooling;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SequenceConfigTest {
    @TempDir
    Path folder;

    @Test
    void readsWhatItWrites() throws IOException {
        for (SequenceConfig config : List.of(
                new SequenceConfig(ProblemType.REGRESSION, Pooling.MEAN, List.of(), 128),
                new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, Pooling.POOLER,
                        List.of("", "größer \"als\"\n", "10", "9"), 1))) {
            Files.write(folder.resolve("task_config.json"), config.json());
            assertEquals(config, SequenceConfig.read(folder));
        }
    }

    @Test
    void writesHuggingFacesKeys() {
        SequenceConfig config = new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, Pooling.CLS,
                List.of("no", "yes"), 64);
        assertEquals("""
                {
                  "problem_type" : "single_label_classification",
                  "pooling" : "cls",
                  "id2label" : {
                    "0" : "no",
                    "1" : "yes"
                  },
                  "max_seq_length" : 64
                }
                """, new String(config.json(), StandardCharsets.UTF_8));
    }

    @Test
    void refusesWhatIsNoTask() throws IOException {
        String labels = "\"id2label\": {\"0\": \"a\", \"1\": \"b\"}";
        String good = "\"problem_type\": \"single_label_classification\", \"pooling\": \"cls\", "
                + "\"max_seq_length\": 8, ";
        write("{" + good + labels + "}");
        assertEquals(List.of("a", "b"), SequenceConfig.read(folder).labels());
        refused("problem_type", "{\"pooling\": \"cls\"}");
        refused("problem_type", "{\"problem_type\": \"multi_label_classification\"}");
        refused("pooling", "{" + good.replace("cls", "max") + labels + "}");
        refused("max_seq_length", "{" + good.replace("8", "0") + labels + "}");
        refused("id2label", "{" + good + "\"id2label\": [\"a\", \"b\"]}");
        refused("id2label", "{" + good + "\"id2label\": {\"0\": \"a\"}}");
        refused("id2label.1", "{" + good + "\"id2label\": {\"0\": \"a\", \"2\": \"b\"}}");
        refused("id2label.1", "{" + good + "\"id2label\": {\"0\": \"a\", \"1\": 1}}");
        refused("id2label", "{" + good + "\"id2label\": {\"0\": \"a\", \"1\": \"a\"}}");
        Files.delete(folder.resolve("task_config.json"));
        assertTrue(assertThrows(InputException.class, () -> SequenceConfig.read(folder)).source()
                .endsWith("task_config.json"));
        assertThrows(InputException.class, () -> new SequenceConfig(ProblemType.REGRESSION, null, List.of("a"), 8));
        assertThrows(InputException.class,
                () -> new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, null, List.of("a"), 8));
        assertEquals("task: labels: found \"b\" twice; expected different labels", assertThrows(InputException.class,
                () -> new SequenceConfig(ProblemType.SINGLE_LABEL_CLASSIFICATION, null, List.of("a", "b", "b"), 8))
                .getMessage());
        assertThrows(InputException.class, () -> new SequenceConfig(ProblemType.REGRESSION, null, List.of(), 0));
    }

    private void write(String json) throws IOException {
        Files.writeString(folder.resolve("task_config.json"), json);
    }

    private void refused(String field, String json) throws IOException {
        write(json);
        InputException refused = assertThrows(InputException.class, () -> SequenceConfig.read(folder));
        assertEquals(field, refused.field(), refused.getMessage());
    }
}
