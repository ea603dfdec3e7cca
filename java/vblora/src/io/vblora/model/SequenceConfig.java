package io.vblora.model;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import io.vblora.JsonFields;
import io.vblora.PrintableText;
import io.vblora.adapter.Adapter;
import io.vblora.adapter.AdapterFolder;
import io.vblora.model.config.Pooling;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * The task of a model with a head on an encoder: what an adapter's folder says beside the adapter, so that it can be
 * used without being told again.
 *
 * @param pooling null before a model has chosen its own
 * @param labels names of the classes, by index; empty for regression
 * @param maxSeqLength tokens that texts are cut to, special tokens included
 */
public record SequenceConfig(ProblemType problemType, Pooling pooling, List<String> labels, int maxSeqLength) {
    private static final JsonMapper MAPPER = new JsonMapper();
    private static final int MAX_LABELS = 1 << 20;

    /** @throws InputException if labels and problem do not fit each other, or a label is there twice */
    public SequenceConfig {
        labels = List.copyOf(labels);
        boolean classes = problemType == ProblemType.SINGLE_LABEL_CLASSIFICATION;
        if (classes ? labels.size() < 2 : !labels.isEmpty()) {
            throw new InputException("task", "labels", labels.size() + " labels",
                    (classes ? "two or more for " : "none for ") + problemType);
        }
        Set<String> different = new HashSet<>();
        labels.stream().filter(label -> !different.add(label)).findFirst().ifPresent(label -> {
            throw new InputException("task", "labels", PrintableText.quoted(label) + " twice", "different labels");
        });
        if (maxSeqLength < 1) {
            throw new InputException("task", "max_seq_length", Integer.toString(maxSeqLength), "1 or more");
        }
    }

    /** Outputs of the head: one per class, one for regression. */
    public int numLabels() {
        return Math.max(1, labels.size());
    }

    /** The same task with this pooling. */
    public SequenceConfig withPooling(Pooling newPooling) {
        return new SequenceConfig(problemType, newPooling, labels, maxSeqLength);
    }

    /**
     * Reads {@value AdapterFolder#TASK_FILE} of an adapter's folder; {@link #of} is for who reads other files of it,
     * too.
     *
     * @throws InputException if it is not there, or a value is not what it must be
     */
    public static SequenceConfig read(Path adapterFolder) {
        AdapterFolder.files(adapterFolder).finish();
        return of(JsonFields.read(adapterFolder.resolve(AdapterFolder.TASK_FILE)));
    }

    /**
     * The task that an adapter's folder tells of.
     *
     * @throws InputException if it tells of none, or a value is not what it must be
     */
    public static SequenceConfig of(AdapterFolder folder) {
        Path file = folder.path().resolve(AdapterFolder.TASK_FILE);
        if (folder.taskConfig() == null) {
            throw new InputException(file, "", "no such file", "a JSON file");
        }
        return of(JsonFields.parse(file.toString(), folder.taskConfig()));
    }

    /**
     * The task that an adapter has, if it has any.
     *
     * @throws InputException if that is another model's, or a value is not what it must be
     */
    static Optional<SequenceConfig> of(Adapter adapter) {
        return adapter.taskConfig().map(json -> of(JsonFields.parse(source(adapter), json)));
    }

    private static String source(Adapter adapter) {
        return AdapterFolder.TASK_FILE + " beside " + adapter.config().source();
    }

    /**
     * Requires of an adapter that its task, if it has one, is this one as far as a model computes it: the length that
     * texts are cut to may be another.
     *
     * @throws InputException naming what differs
     */
    void requireSame(Adapter adapter) {
        of(adapter).ifPresent(its -> {
            requireSame(adapter, "problem_type", its.problemType, problemType);
            requireSame(adapter, "pooling", its.pooling, pooling);
            requireSame(adapter, "id2label", its.labels, labels);
        });
    }

    private static void requireSame(Adapter adapter, String field, Object found, Object expected) {
        if (!found.equals(expected)) {
            throw new InputException(source(adapter), field, PrintableText.of(found.toString()),
                    PrintableText.of(expected.toString())
                            + ", as in the model that it is attached to; without a task, setTaskConfig(null), "
                            + "it would take the model's");
        }
    }

    private static SequenceConfig of(JsonFields fields) {
        ProblemType problem = value(fields, "problem_type", ProblemType.values());
        Pooling pooling = value(fields, "pooling", Pooling.values());
        int maxSeqLength = (int) fields.integer("max_seq_length", 1, 1 << 24);
        List<String> labels = new ArrayList<>();
        if (problem == ProblemType.SINGLE_LABEL_CLASSIFICATION) {
            JsonFields names = fields.object("id2label");
            int count = names.object().size();
            if (count < 2 || count > MAX_LABELS) {
                throw new InputException(fields.source(), "id2label", count + " labels", "two or more");
            }
            for (int id = 0; id < count; id++) {
                labels.add(names.string(Integer.toString(id)));
            }
            if (new HashSet<>(labels).size() != count) {
                throw fields.wrong("id2label", "different labels");
            }
        }
        return new SequenceConfig(problem, pooling, labels, maxSeqLength);
    }

    private static <E extends Enum<E>> E value(JsonFields fields, String field, E[] values) {
        String found = fields.string(field);
        List<String> names = new ArrayList<>();
        for (E value : values) {
            if (value.toString().equals(found)) {
                return value;
            }
            names.add(value.toString());
        }
        throw fields.wrong(field, "one of " + String.join(", ", names));
    }

    /** Content of {@value AdapterFolder#TASK_FILE}. */
    public byte[] json() {
        ObjectNode json = MAPPER.createObjectNode();
        json.put("problem_type", problemType.toString());
        json.put("pooling", pooling.toString());
        if (!labels.isEmpty()) {
            ObjectNode names = json.putObject("id2label");
            for (int id = 0; id < labels.size(); id++) {
                names.put(Integer.toString(id), labels.get(id));
            }
        }
        json.put("max_seq_length", maxSeqLength);
        try {
            return (MAPPER.writerWithDefaultPrettyPrinter().writeValueAsString(json) + "\n")
                    .getBytes(StandardCharsets.UTF_8);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("writing to memory", e);
        }
    }
}
