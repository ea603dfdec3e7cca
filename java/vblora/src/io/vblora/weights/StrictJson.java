package io.vblora.weights;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/** Reads small JSON files whole: UTF-8, one object, no duplicate keys, nothing after it. */
public final class StrictJson {
    private static final long MAX_BYTES = 64 << 20;

    private static final JsonMapper MAPPER = JsonMapper.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private StrictJson() {}

    /**
     * Reads a file that holds one JSON object.
     *
     * @throws InputException naming the file, if it is missing, too large or not such JSON
     */
    public static ObjectNode readObject(Path file) {
        JsonNode node;
        try {
            if (Files.size(file) > MAX_BYTES) {
                throw new InputException(file, "", Files.size(file) + " bytes", "at most " + MAX_BYTES + " bytes of JSON");
            }
            ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(file));
            node = MAPPER.readTree(StandardCharsets.UTF_8.newDecoder().decode(bytes).toString());
        } catch (NoSuchFileException e) {
            throw new InputException(file.toString(), "", "no such file", "a JSON file", e);
        } catch (CharacterCodingException e) {
            throw new InputException(file.toString(), "", "bytes that are not UTF-8", "JSON in UTF-8", e);
        } catch (JsonProcessingException e) {
            throw new InputException(file.toString(), "", e.getOriginalMessage(), "a JSON object without duplicate keys", e);
        } catch (IOException e) {
            throw new InputException(file.toString(), "", e.toString(), "a readable file", e);
        }
        if (!(node instanceof ObjectNode object)) {
            throw new InputException(file, "", node.isMissingNode() ? "an empty file" : "JSON that is no object",
                    "a JSON object");
        }
        return object;
    }
}
