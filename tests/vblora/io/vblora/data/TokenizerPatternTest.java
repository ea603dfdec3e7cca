package io.vblora.data;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The expressions that are let pass do not end the process on the longest texts that are. */
@Tag("slow")
class TokenizerPatternTest {
    /** Llama 3's and o200k_base's, which steps back most of those of known tokenizers. */
    private static final List<String> PATTERNS = List.of(
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                    + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
                    + "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
                    + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}"
                    + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+");

    @TempDir
    Path folder;

    @Test
    void theLongestTextsAreTokenized() throws IOException, InterruptedException {
        TokenizerFixture.write(folder);
        ChildJvm child = ChildJvm.run(folder, Map.of(), List.of(), 300, EncodeWorstTexts.class, folder.toString(),
                PATTERNS.get(0), PATTERNS.get(1));
        assertEquals(new ChildJvm(true, 0, "1048576\n769230\n", ""), child);
    }
}
