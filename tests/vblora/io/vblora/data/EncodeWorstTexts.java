package io.vblora.data;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.vblora.InputException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;

/**
 * Splits the longest texts by the expressions of known tokenizers. Arguments: a folder with a tokenizer of words, then
 * expressions. Prints the number of characters that each tokenizer takes.
 */
final class EncodeWorstTexts {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<String> RUNS = List.of(" ", "A\u01c5");

    private EncodeWorstTexts() {}

    public static void main(String[] arguments) throws IOException {
        Path file = Path.of(arguments[0], "tokenizer.json");
        ObjectNode json = (ObjectNode) JSON.readTree(file.toFile());
        for (int i = 1; i < arguments.length; i++) {
            json.putObject("pre_tokenizer").put("type", "Split").put("behavior", "Isolated").put("invert", false)
                    .putObject("pattern").put("Regex", arguments[i]);
            JSON.writeValue(file.toFile(), json);
            try (Tokenizer tokenizer = Tokenizer.open(file)) {
                for (String run : RUNS) {
                    tokenizer.encode(run.repeat(tokenizer.longestText() / run.length() - 1) + "x");
                }
                System.out.println(tokenizer.longestText());
                try {
                    tokenizer.encode("a".repeat(tokenizer.longestText() + 1));
                    throw new AssertionError("too long, and not refused");
                } catch (InputException e) {
                    continue;
                }
            }
        }
    }
}
