package io.vblora.adapter;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;

/**
 * Rewrites regular expressions so that the text can count how long a matcher works. Java's matcher may go round in
 * loops that read no character, such as {@code (){1000000000}} or {@code (|)} many times in a row, and cannot be
 * interrupted there. An empty lookahead at the beginning of each group and alternative, and after each repetition, does
 * not change what matches, but makes a matcher with transparent bounds ask for the text's length. Whatever else could
 * be repeated without reading a character is refused, as Python mostly does; and so are parts that Python does not
 * know, or that Java reads differently.
 */
final class CountableRegex {
    private static final String MARK = "(?=)";

    /** The next part of an expression. A part in none of the named groups reads a character, or closes a group. */
    private static final Pattern PART = Pattern.compile("""
            (?<open> \\( (?! \\?) | \\(\\? (?: [:=!>] | <[=!] | <\\w++> | [imsu-]++: ) )
            | (?<or> \\| )
            | (?<repeat> (?: [*+?] | \\{ \\d++ (?: ,\\d*+ )? \\} ) [?+]? )
            | (?<empty> [\\^$] | \\\\ (?: [AbBzZ] | [1-9]\\d*+ ) | \\(\\? [imsu-]++ \\) )
            | \\) | [^\\\\\\[(){*+?|^$] | \\\\ (?: [dDsSwWafnrtvxu0] | [^a-zA-Z0-9] )
            | \\[ \\^?+ \\]?+ (?: [^\\]\\[\\\\&]++ | &(?!&) | \\\\ (?: [dDsSwWafnrtvxu0-7] | [^a-zA-Z0-9] ) )*+ \\]
            """, Pattern.COMMENTS);

    private CountableRegex() {}

    /**
     * The expression with its marks.
     *
     * @param regex one that Java compiles
     * @throws PatternSyntaxException if it has a part that Python does not know, or repeats what reads no character
     */
    static String marked(String regex) {
        Matcher part = PART.matcher(regex);
        StringBuilder marked = new StringBuilder(MARK);
        boolean repeatable = false;
        for (int at = 0; at < regex.length(); at = part.end()) {
            if (!part.region(at, regex.length()).lookingAt()) {
                throw refused("what Python does not know, or Java reads differently", regex, at);
            }
            boolean repeat = part.start("repeat") >= 0;
            if (repeat && !repeatable) {
                throw refused("a repetition of what reads no character", regex, at);
            }
            boolean begin = part.start("open") >= 0 || part.start("or") >= 0;
            repeatable = !repeat && !begin && part.start("empty") < 0;
            marked.append(part.group()).append(begin || repeat ? MARK : "");
        }
        return marked.toString();
    }

    private static PatternSyntaxException refused(String what, String regex, int at) {
        return new PatternSyntaxException("without " + what + ", as character " + (at + 1) + " begins", regex, at);
    }
}
