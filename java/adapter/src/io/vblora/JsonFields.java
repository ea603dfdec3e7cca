package io.vblora;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.file.Path;

/**
 * A JSON object read strictly: duplicate keys and trailing text are refused, and a value of the wrong type or size
 * gives an {@link InputException} that names file, field, what was found and what was expected. A field that is null
 * counts as absent.
 */
public final class JsonFields {
    private static final int MAX_FILE_BYTES = 16 << 20;
    private static final ObjectMapper MAPPER = new ObjectMapper()
            .enable(JsonParser.Feature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private final String source;
    private final String prefix;
    private final ObjectNode object;

    private JsonFields(String source, String prefix, ObjectNode object) {
        this.source = source;
        this.prefix = prefix;
        this.object = object;
    }

    /**
     * Reads a regular file that holds one JSON object.
     *
     * @throws InputException if it is absent, too large or not a JSON object
     * @throws java.io.UncheckedIOException naming the file, if it cannot be read
     */
    public static JsonFields read(Path file) {
        return parse(file.toString(), WholeFile.read(file, "a JSON file", MAX_FILE_BYTES));
    }

    /** What is wrong with a text that is not JSON, without the parser's advice to programmers on how to permit it. */
    public static String problem(JsonProcessingException e) {
        return e.getOriginalMessage().lines().findFirst().orElse("")
                .replaceAll(": enable `[^`]*` to allow| \\(consider enabling `.*"
                        + "| \\(not recognized as one since Feature.*|, from `[^`]*`", "");
    }

    /** Parses UTF-8 text that holds one JSON object; {@code source} is what messages call it. */
    public static JsonFields parse(String source, byte[] json) {
        JsonNode node;
        try {
            node = MAPPER.readTree(json);
        } catch (JsonProcessingException e) {
            throw new InputException(source, "", "malformed JSON (" + problem(e) + ")", "a JSON object", e);
        } catch (IOException e) {
            throw new InputException(source, "", "unreadable text (" + e.getMessage() + ")", "a JSON object", e);
        }
        if (!(node instanceof ObjectNode object)) {
            throw new InputException(source, "", node == null || node.isMissingNode() ? "nothing" : "a JSON "
                    + node.getNodeType().name().toLowerCase(java.util.Locale.ROOT), "a JSON object");
        }
        return new JsonFields(source, "", object);
    }

    /** The fields of an object in memory; {@code source} is what messages call it. */
    public static JsonFields of(String source, ObjectNode object) {
        return new JsonFields(source, "", object);
    }

    /** The object itself. */
    public ObjectNode object() {
        return object;
    }

    /** Whether a field is there and not null. */
    public boolean has(String field) {
        return object.hasNonNull(field);
    }

    /** An object inside this one. */
    public JsonFields object(String field) {
        JsonNode value = object.get(field);
        if (!(value instanceof ObjectNode inner)) {
            throw wrong(field, "a JSON object");
        }
        return new JsonFields(source, prefix + field + ".", inner);
    }

    /** An integer from {@code min} to {@code max}. */
    public long integer(String field, long min, long max) {
        JsonNode value = object.get(field);
        if (value == null || !value.isIntegralNumber() || !value.canConvertToLong() || value.longValue() < min
                || value.longValue() > max) {
            throw wrong(field, "an integer from " + min + " to " + max);
        }
        return value.longValue();
    }

    /** An integer from {@code min} to {@code max}, or a default where the field is absent. */
    public long integer(String field, long min, long max, long absent) {
        return has(field) ? integer(field, min, max) : absent;
    }

    /** A finite number from {@code min} to {@code max}. */
    public double number(String field, double min, double max) {
        JsonNode value = object.get(field);
        if (value == null || !value.isNumber() || !(value.doubleValue() >= min && value.doubleValue() <= max)) {
            throw wrong(field, "a number from " + min + " to " + max);
        }
        return value.doubleValue();
    }

    /** A finite number from {@code min} to {@code max}, or a default where the field is absent. */
    public double number(String field, double min, double max, double absent) {
        return has(field) ? number(field, min, max) : absent;
    }

    /** true or false, or a default where the field is absent. */
    public boolean bool(String field, boolean absent) {
        if (!has(field)) {
            return absent;
        }
        if (!object.get(field).isBoolean()) {
            throw wrong(field, "true or false");
        }
        return object.get(field).booleanValue();
    }

    /** A string. */
    public String string(String field) {
        JsonNode value = object.get(field);
        if (value == null || !value.isTextual()) {
            throw wrong(field, "a string");
        }
        return value.textValue();
    }

    /** A string, or a default where the field is absent. */
    public String string(String field, String absent) {
        return has(field) ? string(field) : absent;
    }

    /** What messages call the file or text that holds the object. */
    public String source() {
        return source;
    }

    /** The exception for a field whose value is not what it must be. */
    public InputException wrong(String field, String expected) {
        JsonNode value = object.get(field);
        String found = value == null ? "nothing" : value.toString();
        return new InputException(source, prefix + field,
                found.length() > 200 ? found.substring(0, 200) + "..." : found, expected);
    }
}
