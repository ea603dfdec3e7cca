package io.vblora.regex;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Tag("slow")
class BacktrackingTest {
    /** Expressions of published tokenizers: what is not said to be another's is in files named tokenizer.json. */
    static final List<String> TOKENIZERS = List.of(
            // GPT-2, RoBERTa, GPT-NeoX
            "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
            // CLIP
            "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
            // Llama 3, and with {1,3} left out Qwen 2
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                    + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                    + "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            // cl100k_base as tiktoken has it, with possessive quantifiers
            "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}++|\\p{N}{1,3}+| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*+"
                    + "|\\s++$|\\s*[\\r\\n]|\\s+(?!\\S)|\\s",
            // o200k_base, Llama 4, Mistral's Tekken
            "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
                    + "(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+"
                    + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}"
                    + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+"
                    + "|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*"
                    + "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            // Kimi K2
            "[\\p{Han}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]*"
                    + "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}"
                    + "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            // DeepSeek
            "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                    + "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
            "[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", "[一-龥぀-ゟ゠-ヿ]+", "\\p{N}{1,3}", "\\p{N}",
            "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕ]+",
            "\\s?[!-/:-~！-／：-～‘-‟　-。]+", "\\s+$",
            // Falcon, BLOOM, T5 and XLM-RoBERTa, DeBERTa, digits from the right in threes
            "[0-9][0-9][0-9]", " ?[^(\\s|[.,!?…。，、।۔،])]+", " {2,}", "\\s+", "\\n", "(?=(\\d{3})+(?!\\d))",
            "\\p{N}{1,3}(?=(?:\\p{N}{3})*(?:\\P{N}|$))");

    @Test
    void expressionsOfTokenizersAreLinear() {
        for (String regex : TOKENIZERS) {
            long steps = Backtracking.stepsPerCharacter(regex);
            assertTrue(steps >= 0 && steps <= 30, () -> steps + " for " + regex);
        }
    }

    /** Counted by hand. */
    @Test
    void countsStepsPerCharacter() {
        assertEquals(0, Backtracking.stepsPerCharacter("abc|[a-z]{2}x"));
        assertEquals(2, Backtracking.stepsPerCharacter("a+")); // one more, or the end
        assertEquals(3, Backtracking.stepsPerCharacter("a*b")); // one more, b, or to fail
        assertEquals(6, Backtracking.stepsPerCharacter("a*b|a*b"));
        assertEquals(6, Backtracking.stepsPerCharacter("a*b(x|y|z)")); // one more, b, then each of three, or to fail
    }

    @ParameterizedTest
    @ValueSource(strings = {"(.*)*x", "(a+)+b", "(a|a)*b", "(a|[ab])*c", "(a{1,3})*b", "a*a*b", "[a-c]*x?[c-e]*f",
        "(a*b|a)+", "(?:(?=.*x).)*y", "a*(?=a*b)", "(?<=a*)b", "(a*)*", "(a?)*", "(?:(?=a))*b", "\\w*\\d*x", "\\w*é*x",
        "(?i:[a-z]*)[0-9]*x", "\\s*\\u3000*x", "(?=(a*)*b)", "((a{100}){100}){100}", "(?>a*)*b", "(a++)++b"})
    void loopsThatReadATextInManyWaysAreRefused(String regex) {
        assertThrows(IllegalArgumentException.class, () -> Backtracking.stepsPerCharacter(regex));
    }

    @Test
    void manyWaysWithoutALoopAreRefused() {
        assertThrows(IllegalArgumentException.class, () -> Backtracking.stepsPerCharacter("(a|a)".repeat(40) + "b"));
        assertThrows(IllegalArgumentException.class, () -> Backtracking.stepsPerCharacter("a?".repeat(40) + "b"));
        assertThrows(IllegalArgumentException.class, () -> Backtracking.stepsPerCharacter("(|)".repeat(40) + "b"));
        assertThrows(IllegalArgumentException.class,
                () -> Backtracking.stepsPerCharacter("c" + "(|)".repeat(40) + "b"));
        assertEquals(0, Backtracking.stepsPerCharacter("c" + "(|)".repeat(40)));
    }

    /** Against Java's own properties: the categories of its version are in the sets, those of others may be. */
    @ParameterizedTest
    @ValueSource(strings = {"L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc",
        "Pd",
        "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "Cc", "Cf", "Co"})
    void propertiesAreUnicodes(String name) {
        Pattern pattern = Pattern.compile("\\p{" + name + "}");
        CharacterSet set = CharacterSet.property(name);
        CharacterSet not = set.not();
        for (int c = 0; c <= Character.MAX_CODE_POINT; c++) {
            boolean in = pattern.matcher(Character.toString(c)).matches();
            boolean unassigned = Character.getType(c) == Character.UNASSIGNED;
            assertTrue(in == set.least().get(c) && (in || unassigned) == set.most().get(c)
                    && (in || unassigned) != not.least().get(c), name + " " + c);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"(a)\\1", "(?<x>a)\\g<x>", "(?(1)a|b)", "(?~ab)", "(?#a)b", "[[:alpha:]]", "\\R", "\\X",
        "a\\Kb",
        "[]a]", "(a", "a)", "[a", "*a", "a{", "a{2}?", "(?x: a)", "\\p{L", "[z-a]", "\\x{110000}", "[\\s-z]", "\\",
        "a{x}"})
    void whatIsNotUnderstoodIsRefused(String regex) {
        assertThrows(IllegalArgumentException.class, () -> Backtracking.stepsPerCharacter(regex));
    }
}
