package io.vblora.data;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.adapter.AdapterFolder;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * What a language model is taught on. An adapter's folder keeps it beside the adapter, so that the adapter can be used
 * without being told again. A file of the same name without {@code task_type} belongs to a sequence task and is read by
 * {@link io.vblora.model.SequenceConfig}.
 *
 * @param prompt what responses follow; null if the data is documents
 * @param responseColumn the column of the response; null without a prompt
 * @param maxSeqLength the most tokens that an example has, 2 or more
 */
public record CausalLmConfig(PromptTemplate prompt, String responseColumn, int maxSeqLength) {
    /** PEFT's name of the task, and the value that tells this file from others. */
    private static final String TASK_TYPE = "CAUSAL_LM";

    private static final JsonMapper MAPPER = new JsonMapper();

    public CausalLmConfig {
        if ((prompt == null) != (responseColumn == null)) {
            throw new IllegalArgumentException("A prompt and the column of the response belong together");
        }
        if (maxSeqLength < 2) {
            throw new InputException("task", "max_seq_length", Integer.toString(maxSeqLength), "2 or more");
        }
    }

    /**
     * The task that is described in an adapter's folder; empty if none is, or one for sequences.
     *
     * @throws InputException if a value is not what it must be
     */
    public static Optional<CausalLmConfig> of(AdapterFolder folder) {
        if (folder.taskConfig() == null) {
            return Optional.empty();
        }
        JsonFields fields = JsonFields.parse(folder.path().resolve(AdapterFolder.TASK_FILE).toString(),
                folder.taskConfig());
        if (!fields.has("task_type")) {
            return Optional.empty();
        }
        if (!fields.string("task_type").equals(TASK_TYPE)) {
            throw fields.wrong("task_type", TASK_TYPE + ", or no such field beside problem_type");
        }
        PromptTemplate prompt = prompt(fields);
        return Optional.of(new CausalLmConfig(prompt, prompt == null ? null : fields.string("response_column"),
                (int) fields.integer("max_seq_length", 2, 1 << 24)));
    }

    private static PromptTemplate prompt(JsonFields fields) {
        if (fields.has("prompt_column")) {
            return PromptTemplate.column(fields.string("prompt_column"));
        }
        if (!fields.has("prompt_template")) {
            return null;
        }
        String source = fields.source() + ", prompt_template";
        PromptTemplate template = PromptTemplate.parse(source, fields.string("prompt_template"));
        if (!fields.has("prompt_template_without")) {
            return template;
        }
        JsonFields shorter = fields.object("prompt_template_without");
        return template.without(shorter.string("column"), shorter.string("prompt_template"));
    }

    /** Content of {@value AdapterFolder#TASK_FILE}. */
    public byte[] json() {
        ObjectNode json = MAPPER.createObjectNode().put("task_type", TASK_TYPE);
        if (prompt != null) {
            prompt.singleColumn().ifPresentOrElse(column -> json.put("prompt_column", column), () -> {
                json.put("prompt_template", prompt.text());
                prompt.optionalColumn().ifPresent(column -> json.putObject("prompt_template_without")
                        .put("column", column).put("prompt_template", prompt.shorter().text()));
            });
            json.put("response_column", responseColumn);
        }
        json.put("max_seq_length", maxSeqLength);
        try {
            return (MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n")
                    .getBytes(StandardCharsets.UTF_8);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("writing to memory", e);
        }
    }

    /** Describes the task in a line, without the prompt's text. */
    public String summary() {
        return (prompt == null ? "documents" : "prompts made of " + String.join(", ", prompt.columns())
                + " and responses in " + responseColumn) + ", at most " + maxSeqLength + " tokens each";
    }
}
