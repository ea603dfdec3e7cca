package io.vblora.data;

import java.nio.file.Path;
import java.util.Arrays;

/** Prints the token ids of texts. Arguments: a tokenizer's folder, then the texts. */
final class OpenTokenizer {
    private OpenTokenizer() {}

    public static void main(String[] arguments) {
        try (Tokenizer tokenizer = Tokenizer.open(Path.of(arguments[0]))) {
            for (String text : Arrays.copyOfRange(arguments, 1, arguments.length)) {
                System.out.println(Arrays.toString(tokenizer.encode(text)));
            }
        }
    }
}
