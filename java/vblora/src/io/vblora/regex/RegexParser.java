package io.vblora.regex;

import java.util.ArrayList;
import java.util.List;

/**
 * Reads regular expressions in Oniguruma's syntax, except for back references, calls, conditions and comments. An
 * expression with one of these is refused, and so is one that engines read in different ways.
 */
final class RegexParser {
    private static final int MAX_DEPTH = 100;
    /** The most sets of more than one character: each takes memory for all characters. */
    private static final int MAX_SETS = 100;
    private static final int MAX_TIMES = 100_000;

    private final int[] text;
    private int at;
    private int depth;
    private int sets;
    private boolean anyCase;

    private RegexParser(String text) {
        this.text = text.codePoints().toArray();
    }

    /**
     * Parses an expression.
     *
     * @throws IllegalArgumentException saying what is not understood
     */
    static Regex parse(String text) {
        RegexParser parser = new RegexParser(text);
        Regex regex = parser.choice();
        if (parser.at < parser.text.length) {
            throw parser.unknown("a closing parenthesis too many");
        }
        return regex;
    }

    private IllegalArgumentException unknown(String what) {
        return new IllegalArgumentException(what + ", before character " + (at + 1));
    }

    private boolean isAt(String next) {
        for (int i = 0; i < next.length(); i++) {
            if (at + i >= text.length || text[at + i] != next.charAt(i)) {
                return false;
            }
        }
        return true;
    }

    private boolean skip(String next) {
        boolean isThere = isAt(next);
        at += isThere ? next.length() : 0;
        return isThere;
    }

    private int next() {
        if (at == text.length) {
            throw unknown("an end too early");
        }
        return text[at++];
    }

    private Regex choice() {
        if (++depth > MAX_DEPTH) {
            throw unknown("more than " + MAX_DEPTH + " levels");
        }
        boolean outer = anyCase;
        List<Regex> ways = new ArrayList<>();
        do {
            ways.add(sequence());
        } while (skip("|"));
        anyCase = outer;
        depth--;
        return ways.size() == 1 ? ways.get(0) : new Regex.Choice(ways);
    }

    private Regex sequence() {
        List<Regex> parts = new ArrayList<>();
        while (at < text.length && !isAt("|") && !isAt(")")) {
            parts.add(repeated(atom()));
        }
        return parts.size() == 1 ? parts.get(0) : new Regex.Sequence(parts);
    }

    private Regex repeated(Regex atom) {
        Regex regex = atom;
        for (int levels = 0; at < text.length; levels++) {
            if (levels > MAX_DEPTH) {
                throw unknown("too many quantifiers");
            }
            if (skip("*")) {
                regex = new Regex.Repeat(regex, 0, Regex.Repeat.UNBOUNDED);
            } else if (skip("+")) {
                regex = new Regex.Repeat(regex, 1, Regex.Repeat.UNBOUNDED);
            } else if (skip("?")) {
                regex = new Regex.Repeat(regex, 0, 1);
            } else if (isAt("{")) {
                regex = times(regex);
                continue; // a plus after it is one more quantifier
            } else {
                break;
            }
            if (!skip("?")) { // lazy
                skip("+"); // possessive: fewer ways than are counted here
            }
        }
        return regex;
    }

    private Regex times(Regex regex) {
        at++;
        int min = number();
        boolean comma = skip(",");
        int max = comma ? number() : min;
        if (!skip("}") || min < 0 && max < 0 || max >= 0 && min > max) {
            throw unknown("braces that are no quantifier");
        }
        if (skip("?") && !comma) {
            throw unknown("a question mark after a fixed number of times");
        }
        return new Regex.Repeat(regex, Math.max(0, min), max < 0 ? Regex.Repeat.UNBOUNDED : max);
    }

    /** The number, or -1 if there is none. */
    private int number() {
        int number = -1;
        while (at < text.length && text[at] >= '0' && text[at] <= '9') {
            number = Math.max(0, number) * 10 + text[at++] - '0';
            if (number > MAX_TIMES) {
                throw unknown("more than " + MAX_TIMES + " times");
            }
        }
        return number;
    }

    private Regex atom() {
        int c = next();
        switch (c) {
            case '(':
                return group();
            case '[':
                return one(set());
            case '.':
                return one(CharacterSet.DOT);
            case '^', '$':
                return new Regex.Assertion(null, false);
            case '\\':
                if (at < text.length && "bBAZzG".indexOf(text[at]) >= 0) {
                    at++;
                    return new Regex.Assertion(null, false);
                }
                return one(escape());
            case '*', '+', '?', '{':
                throw unknown("a quantifier of nothing");
            default:
                return one(CharacterSet.of(c));
        }
    }

    private Regex one(CharacterSet set) {
        return new Regex.One(anyCase ? CharacterSet.UNKNOWN : set);
    }

    private Regex group() {
        Regex body;
        if (!skip("?")) {
            body = choice();
        } else if (skip(":") || skip(">")) {
            body = choice();
        } else if (skip("=") || skip("!")) {
            body = new Regex.Assertion(choice(), false);
        } else if (skip("<=") || skip("<!")) {
            body = new Regex.Assertion(choice(), true);
        } else if (skip("<") || skip("P<")) {
            while (next() != '>') {
                // a name
            }
            body = choice();
        } else {
            boolean outer = anyCase;
            boolean on = true;
            int flag = next();
            while (flag != ':' && flag != ')') {
                if (flag == '-') {
                    on = false;
                } else if (flag == 'i') {
                    anyCase = on;
                } else if (flag != 'm' && flag != 's') {
                    throw unknown("a kind of group that is not known here");
                }
                flag = next();
            }
            if (flag == ')') {
                return choice(); // the rest of the group that this stands in, whose alternatives belong to it, too
            }
            body = choice();
            anyCase = outer;
        }
        if (!skip(")")) {
            throw unknown("a parenthesis that is not closed");
        }
        return body;
    }

    private CharacterSet counted(CharacterSet set) {
        if (++sets > MAX_SETS) {
            throw unknown("more than " + MAX_SETS + " sets of characters");
        }
        return set;
    }

    /** What follows a backslash. */
    private CharacterSet escape() {
        int c = next();
        switch (c) {
            case 'd':
                return counted(CharacterSet.property("nd"));
            case 'D':
                return counted(CharacterSet.property("nd").not());
            case 's':
                return counted(CharacterSet.space());
            case 'S':
                return counted(CharacterSet.space().not());
            case 'w':
                return counted(CharacterSet.word());
            case 'W':
                return counted(CharacterSet.word().not());
            case 'p', 'P':
                return property(c == 'P');
            case 'n', 't', 'r', 'f', 'v', 'a', 'e':
                return CharacterSet.of("\n\t\r\f\u000b\u0007\u001b".charAt("ntrfvae".indexOf(c)));
            case 'x':
                return CharacterSet.of(skip("{") ? hexadecimal(8, true) : hexadecimal(2, false));
            case 'u':
                return CharacterSet.of(hexadecimal(4, false));
            default:
                if (c < 128 && Character.isLetterOrDigit(c)) {
                    throw unknown("\\" + Character.toString(c));
                }
                return CharacterSet.of(c);
        }
    }

    private int hexadecimal(int digits, boolean braces) {
        int value = 0;
        int n = 0;
        while (n < digits && at < text.length && Character.digit(text[at], 16) >= 0) {
            value = value << 4 | Character.digit(text[at++], 16);
            n++;
        }
        if (n == 0 || braces && !skip("}") || !braces && n < digits || value < 0
                || value > Character.MAX_CODE_POINT) {
            throw unknown("a character's number that is none");
        }
        return value;
    }

    private CharacterSet property(boolean not) {
        if (!skip("{")) {
            throw unknown("a property without braces");
        }
        boolean complement = not ^ skip("^");
        StringBuilder name = new StringBuilder();
        for (int c = next(); c != '}'; c = next()) {
            name.appendCodePoint(c);
        }
        CharacterSet set = counted(CharacterSet.property(name.toString()));
        return complement ? set.not() : set;
    }

    /** What follows an opening bracket, to the closing one. */
    private CharacterSet set() {
        if (++depth > MAX_DEPTH) {
            throw unknown("more than " + MAX_DEPTH + " levels");
        }
        boolean not = skip("^");
        if (isAt("]")) {
            throw unknown("an empty set");
        }
        CharacterSet whole = null;
        CharacterSet set = counted(CharacterSet.of(""));
        while (!skip("]")) {
            if (skip("&&")) {
                whole = whole == null ? set : whole.and(set);
                set = CharacterSet.of("");
            } else {
                set = set.or(member());
            }
        }
        whole = whole == null ? set : whole.and(set);
        depth--;
        return not ? whole.not() : whole;
    }

    /** A member of a set: a character, a range, or a set. */
    private CharacterSet member() {
        if (isAt("[:")) {
            throw unknown("a POSIX class");
        }
        if (skip("[")) {
            return set();
        }
        boolean escaped = isAt("\\");
        int c = next();
        CharacterSet first = escaped ? escape() : CharacterSet.of(c);
        if (!isAt("-") || at + 1 < text.length && (text[at + 1] == ']' || text[at + 1] == '[')) {
            return first;
        }
        at++;
        boolean endEscaped = isAt("\\");
        int end = next();
        CharacterSet last = endEscaped ? escape() : CharacterSet.of(end);
        if (first.least().cardinality() != 1 || last.least().cardinality() != 1
                || first.least().length() > last.least().length()) {
            throw unknown("a range that is none");
        }
        return CharacterSet.range(first.least().length() - 1, last.least().length() - 1);
    }
}
