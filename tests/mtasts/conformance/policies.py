"""Policy texts (RFC 8461 section 3.2), each with its verdict and one line saying why."""

from __future__ import annotations

from typing import NamedTuple

from tests.mtasts.conformance.records import NAME32, Text

MX = "mx.example.com"
YEAR = 31557600

# The lines of an ordinary policy, to be put together.
V, E, M, A = "version: STSv1\n", "mode: enforce\n", f"mx: {MX}\n", "max_age: 86400\n"
T, N = "mode: testing\n", "mode: none\n"


class Good(NamedTuple):
    why: str
    text: Text
    mode: str = "enforce"
    mx: tuple[str, ...] = (MX,)
    max_age: int = 86400
    extensions: tuple[tuple[str, str], ...] = ()


class Bad(NamedTuple):
    why: str
    line: int
    text: Text


def with_mx(value: str) -> str:
    return f"{V}{E}mx: {value}\n{A}"


def with_age(value: str) -> str:
    return f"{V}{E}{M}max_age: {value}\n"


def with_line(line: str) -> str:
    return f"{V}{E}{M}{A}{line}\n"


L63 = "a" * 63
NAME253 = ".".join([L63, L63, L63, "a" * 61])

GOOD = [
    Good(
        "the RFC's own example",
        "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\n"
        "mx: backupmx.example.com\r\nmax_age: 604800\r\n",
        mx=("mail.example.com", "*.example.net", "backupmx.example.com"),
        max_age=604800,
    ),
    Good(
        "Google's style",
        "version: STSv1\nmode: enforce\nmx: gmail-smtp-in.l.google.example\n"
        "mx: *.gmail-smtp-in.l.google.example\nmax_age: 86400\n",
        mx=("gmail-smtp-in.l.google.example", "*.gmail-smtp-in.l.google.example"),
    ),
    Good(
        "Microsoft's style, no line end at the end",
        "version: STSv1\r\nmode: enforce\r\nmx: *.mail.protection.outlook.example\r\n"
        "max_age: 604800",
        mx=("*.mail.protection.outlook.example",),
        max_age=604800,
    ),
    Good("LF", V + E + M + A),
    Good("CRLF", (V + E + M + A).replace("\n", "\r\n")),
    Good("LF and CRLF mixed", f"version: STSv1\r\n{E}mx: {MX}\r\n{A}"),
    Good("no line end at the end", (V + E + M + A).removesuffix("\n")),
    Good("order is free", A + M + E + V),
    Good("mx in front", M + V + E + A),
    Good(
        "mx apart from each other",
        f"mx: a.example\n{V}{E}{M}{A}mx: b.example\n",
        mx=("a.example", MX, "b.example"),
    ),
    Good("testing", V + T + M + A, "testing"),
    Good("none needs no mx", V + N + A, "none", ()),
    Good("none may have mx", V + N + M + A, "none"),
    Good("no blank behind the colon", f"version:STSv1\nmode:enforce\nmx:{MX}\nmax_age:86400\n"),
    Good("blanks and tabs behind the colon", f"version: \t STSv1\nmode:\tenforce\n{M}{A}"),
    Good(
        "blanks behind values", f"version: STSv1 \nmode: enforce\t\nmx: {MX}  \nmax_age: 86400 \t"
    ),
    Good("blanks before CRLF", f"version: STSv1 \r\n{E}{M}max_age: 86400 \r\n"),
    Good("the same mx twice is kept twice", V + E + M + M + A, mx=(MX, MX)),
    # Duplicates: the first one counts.
    Good("second version ignored", V + "version: STSv2\n" + E + M + A),
    Good("second mode ignored", V + E + N + M + A),
    Good("second mode ignored, first one none", V + N + E + A, "none", ()),
    Good("second mode ignored, bad as it is", V + E + "mode: Bogus\n" + M + A),
    Good("second max_age ignored", V + E + M + A + "max_age: 1\n"),
    Good("second max_age ignored, no number", V + E + M + A + "max_age: never\n"),
    Good("second max_age ignored, eleven digits", V + E + M + A + "max_age: 12345678901\n"),
    Good("second max_age ignored, any UTF-8", V + E + M + A + "max_age: ж\n"),
    Good("second version ignored at the end", V + E + M + A + "version: x y z\n"),
    Good("second extension ignored", V + E + M + A + "a: 1\na: 2\n", extensions=(("a", "1"),)),
    # max_age.
    Good("zero is legal", with_age("0"), max_age=0),
    Good("zeros in front", with_age("0000000001"), max_age=1),
    Good("ten zeros", with_age("0000000000"), max_age=0),
    Good("a week", with_age("604800"), max_age=604800),
    Good("one below the limit", with_age("31557599"), max_age=YEAR - 1),
    Good("the limit", with_age("31557600"), max_age=YEAR),
    Good("D2: one above the limit is capped", with_age("31557601"), max_age=YEAR),
    Good("D2: 2^31 is capped", with_age("2147483648"), max_age=YEAR),
    Good("D2: ten nines are capped", with_age("9999999999"), max_age=YEAR),
    # mx.
    Good("lower case is stored", with_mx("MX.Example.COM")),
    Good("wildcard", with_mx("*.Example.com"), mx=("*.example.com",)),
    Good("one label", with_mx("localhost"), mx=("localhost",)),
    Good("wildcard of one label", with_mx("*.com"), mx=("*.com",)),
    Good("digits and hyphens", with_mx("mx-1.2e.example"), mx=("mx-1.2e.example",)),
    Good("digits alone in a label", with_mx("1.example"), mx=("1.example",)),
    Good("A-label", with_mx("mx.xn--mnchen-3ya.example"), mx=("mx.xn--mnchen-3ya.example",)),
    Good("A-label in capitals", with_mx("XN--MNCHEN-3YA.example"), mx=("xn--mnchen-3ya.example",)),
    Good(
        "D4: xn-- that decodes to nothing",
        with_mx("xn--zzz99999.example"),
        mx=("xn--zzz99999.example",),
    ),
    Good("D4: hyphens that IDNA dislikes", with_mx("ab--cd.example"), mx=("ab--cd.example",)),
    Good("D4: shaped like an IPv4 address", with_mx("192.0.2.1"), mx=("192.0.2.1",)),
    Good("D4: shaped like half of one", with_mx("127.1"), mx=("127.1",)),
    Good("63 octets in a label", with_mx(f"{L63}.example"), mx=(f"{L63}.example",)),
    Good("253 octets in the name", with_mx(NAME253), mx=(NAME253,)),
    Good("253 octets behind the star", with_mx(f"*.{NAME253}"), mx=(f"*.{NAME253}",)),
    Good(
        "a hundred mx",
        V + E + A + "".join(f"mx: mx{n}.example\n" for n in range(100)),
        mx=tuple(f"mx{n}.example" for n in range(100)),
    ),
    # Extensions.
    Good("unknown field", with_line("foo: bar"), extensions=(("foo", "bar"),)),
    Good("unknown field in front", "foo: bar\n" + V + E + M + A, extensions=(("foo", "bar"),)),
    Good("two, in their order", with_line("b: 1\na: 2"), extensions=(("b", "1"), ("a", "2"))),
    Good("inner blanks", with_line("foo: a  b c"), extensions=(("foo", "a  b c"),)),
    Good(
        "blanks and tabs around are not of the value",
        with_line("foo: \t a b\t "),
        extensions=(("foo", "a b"),),
    ),
    Good(
        "colon in a value",
        with_line("url: https://example.com:443/"),
        extensions=(("url", "https://example.com:443/"),),
    ),
    Good(
        "a URL is a field named https",
        with_line("https://example.com/"),
        extensions=(("https", "//example.com/"),),
    ),
    Good("a time is a field named 12", with_line("12:30"), extensions=(("12", "30"),)),
    Good("a value of one colon", with_line("a::"), extensions=(("a", ":"),)),
    Good("longest name", with_line(f"{NAME32}: x"), extensions=((NAME32, "x"),)),
    Good("name of one digit", with_line("0: x"), extensions=(("0", "x"),)),
    Good(
        "known name, other case",
        with_line("Version: 2\nMX: *\nMode: none\nMAX_AGE: x"),
        extensions=(("Version", "2"), ("MX", "*"), ("Mode", "none"), ("MAX_AGE", "x")),
    ),
    Good(
        "known name with more behind",
        with_line("mx1: x\nmax_ages: y"),
        extensions=(("mx1", "x"), ("max_ages", "y")),
    ),
    Good("max-age is not max_age", with_line("max-age: 1"), extensions=(("max-age", "1"),)),
    Good("two octets of UTF-8", with_line("foo: é"), extensions=(("foo", "é"),)),
    Good("three octets", with_line("foo: 日本 語"), extensions=(("foo", "日本 語"),)),
    Good("four octets", with_line("foo: 📬"), extensions=(("foo", "📬"),)),
    Good(
        "C1 controls are UTF8-2",
        with_line("foo: \x80\x85\x9f"),
        extensions=(("foo", "\x80\x85\x9f"),),
    ),
    Good(
        "no-break spaces are of the value",
        with_line("foo: \u00a0a\u00a0"),
        extensions=(("foo", "\u00a0a\u00a0"),),
    ),
    Good(
        "line separator U+2028 ends no line",
        with_line("foo: a\u2028b"),
        extensions=(("foo", "a\u2028b"),),
    ),
    Good(
        "byte order mark inside a value",
        with_line("foo: \ufeffa"),
        extensions=(("foo", "\ufeffa"),),
    ),
    Good(
        "noncharacter",
        with_line("foo: \uffff\U0010ffff"),
        extensions=(("foo", "\uffff\U0010ffff"),),
    ),
    Good(
        "braces",
        with_line("foo: { policy_string = x }"),
        extensions=(("foo", "{ policy_string = x }"),),
    ),
    Good(
        "markup in a value",
        with_line("a: <script>x</script>"),
        extensions=(("a", "<script>x</script>"),),
    ),
    Good("comment sign in a value", with_line("a: # x"), extensions=(("a", "# x"),)),
    *(
        Good(f"{char!r} in a name", with_line(f"a{char}b: x"), extensions=((f"a{char}b", "x"),))
        for char in "09azAZ_-."
    ),
    *(
        Good(f"{char!r} in a value", with_line(f"a: x{char}y"), extensions=(("a", f"x{char}y"),))
        for char in "!\"#$%&'()*+,-./09:;<=>?@AZ[\\]^_`az{|}~ "
    ),
    *(
        Good(f"{char!r} as a value", with_line(f"a: {char}"), extensions=(("a", char),))
        for char in '!"#*:;=@[\\_{}~'
    ),
]

BAD = [
    # Nothing, or not a policy at all.
    Bad("empty", 1, ""),
    Bad("one line end", 1, "\n"),
    Bad("one CRLF", 1, "\r\n"),
    Bad("one CR", 1, "\r"),
    Bad("one blank", 1, " "),
    Bad("a NUL", 1, "\0"),
    Bad("a NUL in front", 1, "\0" + V + E + M + A),
    Bad("D3: byte order mark", 1, "\ufeff" + V + E + M + A),
    Bad("UTF-16", 1, (V + E + M + A).encode("utf-16")),
    Bad("UTF-16, big end first, no mark", 1, (V + E + M + A).encode("utf-16-be")),
    Bad("an error page", 1, "<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n"),
    Bad("an error page with a colon", 1, "<p>Error: none</p>\n"),
    Bad("JSON", 1, '{"version": "STSv1", "mode": "enforce"}'),
    Bad("the TXT record", 1, "v=STSv1; id=1;"),
    Bad("random bytes", 1, b"\x89PNG\r\n\x1a\n\xff\xfe"),
    Bad("gzip", 1, b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
    # Lines.
    Bad("D3: empty line in front", 1, "\n" + V + E + M + A),
    Bad("D3: empty line inside", 2, V + "\n" + E + M + A),
    Bad("D3: empty line at the end", 5, V + E + M + A + "\n"),
    Bad("D3: two empty lines at the end", 5, V + E + M + A + "\n\n"),
    Bad("D3: empty CRLF line at the end", 5, (V + E + M + A).replace("\n", "\r\n") + "\r\n"),
    Bad("line of blanks", 2, V + "  \n" + E + M + A),
    Bad("blanks behind the last line end", 5, V + E + M + A + " "),
    Bad("blank in front of a name", 2, V + " " + E + M + A),
    Bad("tab in front of a name", 2, V + "\t" + E + M + A),
    Bad("blank before the colon", 2, V + "mode : enforce\n" + M + A),
    Bad("tab before the colon", 2, V + "mode\t: enforce\n" + M + A),
    Bad("no colon", 2, V + "mode enforce\n" + M + A),
    Bad("'=' for the colon", 2, V + "mode=enforce\n" + M + A),
    Bad("fullwidth colon", 2, V + "mode： enforce\n" + M + A),
    Bad("colon alone", 2, V + ":\n" + E + M + A),
    Bad("no name", 2, V + ": enforce\n" + M + A),
    Bad("comment", 1, "# our policy\n" + V + E + M + A),
    Bad("comment with a colon", 5, V + E + M + A + "# max: 3"),
    Bad("CR as line end", 1, (V + E + M + A).replace("\n", "\r")),
    Bad("CR at the very end", 4, (V + E + M + A).removesuffix("\n") + "\r"),
    Bad("CR on a line of its own at the end", 5, V + E + M + A + "\r"),
    Bad("CR CR LF", 1, V.replace("\n", "\r\r\n") + E + M + A),
    Bad("CR and a blank before LF", 1, "version: STSv1\r \n" + E + M + A),
    Bad("LF CR", 2, (V + E + M + A).replace("\n", "\n\r")),
    Bad("CR inside a value", 5, with_line("foo: a\rb")),
    Bad("vertical tab for a line end", 1, (V + E + M + A).replace("\n", "\x0b")),
    Bad("form feed for a line end", 1, (V + E + M + A).replace("\n", "\x0c")),
    Bad("NEL for a line end", 1, (V + E + M + A).replace("\n", "\x85")),
    Bad("U+2028 for a line end", 1, (V + E + M + A).replace("\n", "\u2028")),
    Bad("backslash and n for a line end", 1, (V + E + M + A).replace("\n", "\\n")),
    Bad("all on one line", 1, (V + E + M + A).replace("\n", "; ")),
    # Fields that are missing: seen at the last line.
    Bad("version missing", 3, E + M + A),
    Bad("mode missing", 3, V + M + A),
    Bad("max_age missing", 3, V + E + M),
    Bad("mx missing", 3, V + E + A),
    Bad("mx missing in testing", 3, V + T + A),
    Bad("max_age missing in none", 2, V + N),
    Bad("version missing in none", 2, N + A),
    Bad("all but version missing", 1, V),
    Bad("only an extension", 1, "foo: bar"),
    Bad("cut in the middle of a line", 3, V + E + "mx"),
    Bad("cut behind the colon", 4, V + E + M + "max_age:"),
    Bad("Version is not version", 4, "Version: STSv1\n" + E + M + A),
    Bad("Mode is not mode", 4, V + "Mode: enforce\n" + M + A),
    Bad("MX is not mx", 4, V + E + f"MX: {MX}\n" + A),
    Bad("max-age is not max_age", 4, V + E + M + "max-age: 86400\n"),
    Bad("maxage is not max_age", 4, V + E + M + "maxage: 86400\n"),
    # version.
    Bad("version 2", 1, "version: STSv2\n" + E + M + A),
    Bad("version in small letters", 1, "version: stsv1\n" + E + M + A),
    Bad("version in capitals", 1, "version: STSV1\n" + E + M + A),
    Bad("version in quotes", 1, 'version: "STSv1"\n' + E + M + A),
    Bad("version with ';'", 1, "version: STSv1;\n" + E + M + A),
    Bad("version empty", 1, "version:\n" + E + M + A),
    Bad("version with more behind", 1, "version: STSv1 x\n" + E + M + A),
    Bad("version with a no-break space", 1, "version: STSv1\u00a0\n" + E + M + A),
    Bad("the first version counts", 1, "version: STSv2\n" + V + E + M + A),
    # mode.
    Bad("mode in capitals", 2, V + "mode: Enforce\n" + M + A),
    Bad("mode report, of an old draft", 2, V + "mode: report\n" + M + A),
    Bad("mode enforced", 2, V + "mode: enforced\n" + M + A),
    Bad("mode of two", 2, V + "mode: enforce testing\n" + M + A),
    Bad("mode empty", 2, V + "mode: \n" + M + A),
    Bad("mode of blanks", 2, V + "mode: \t \n" + M + A),
    Bad("mode with a no-break space", 2, V + "mode:\u00a0enforce\n" + M + A),
    Bad("mode in fullwidth letters", 2, V + "mode: ｅｎｆｏｒｃｅ\n" + M + A),
    Bad("mode with a comment", 2, V + "mode: enforce # yes\n" + M + A),
    Bad("mode with NUL", 2, V + "mode: enforce\0\n" + M + A),
    Bad("the first mode counts", 2, V + "mode: x\n" + E + M + A),
    # Duplicates still need the form of a field.
    Bad("second mode empty", 5, V + E + M + A + "mode:\n"),
    Bad("second version of blanks", 5, V + E + M + A + "version: \t\n"),
    Bad("second max_age without colon", 5, V + E + M + A + "max_age\n"),
    Bad("second mode with a control character", 5, V + E + M + A + "mode: a\x01b\n"),
    Bad("second mode of no UTF-8", 5, (V + E + M + A).encode() + b"mode: \xff\n"),
    Bad("second mx is looked into", 4, V + E + M + "mx: _\n" + A),
    # max_age.
    *(
        Bad(f"max_age {why}", 4, with_age(value))
        for value, why in [
            ("", "empty"),
            ("12345678901", "of eleven digits"),
            ("00000000001", "of eleven digits with zeros in front"),
            ("-1", "negative"),
            ("+5", "with a plus"),
            ("1 0", "with a blank inside"),
            ("86_400", "with an underscore, which Python's int takes"),
            ("86,400", "with a comma"),
            ("1.0", "with a fraction"),
            ("1e5", "with an exponent"),
            ("0x10", "in hexadecimal"),
            ("86400s", "with a unit"),
            ("1d", "in days"),
            ("86400;", "with a semicolon"),
            ('"86400"', "in quotes"),
            ("\u00a086400", "behind a no-break space, which Python's int takes"),
            ("86400\u2003", "before an em space, which Python's int takes"),
            ("٣٦٠٠", "in Arabic digits"),
            ("８６４００", "in fullwidth digits"),
            ("३६००", "in Devanagari digits"),
            ("1²", "with a superscript"),
            ("①", "as a circled digit"),
            ("ten", "in words"),
            ("1\x00", "with a NUL"),
            ("1\x0b", "before a vertical tab"),
            ("1\t0", "with a tab inside"),
        ]
    ),
    Bad("the first max_age counts", 4, V + E + M + "max_age: x\n" + A),
    # mx.
    *(
        Bad(f"mx {why}", 3, with_mx(value))
        for value, why in [
            ("", "empty"),
            ("\t", "of blanks"),
            ("*", "of a star alone"),
            ("*.", "of a star and a dot"),
            (".", "of a dot"),
            ("**.example.com", "with two stars"),
            ("*.*.example.com", "with two wildcards"),
            ("mx.*.example.com", "with the star inside"),
            ("mx*.example.com", "with half a label as wildcard"),
            ("*mx.example.com", "with a star before letters"),
            ("*example.com", "without the dot behind the star"),
            ("*..example.com", "with an empty label behind the star"),
            (".example.com", "with a dot in front, as in drafts"),
            ("mx.example.com.", "with a trailing dot"),
            ("*.example.com.", "wildcard with a trailing dot"),
            ("mx..example.com", "with an empty label"),
            ("_mx.example.com", "with an underscore in front"),
            ("m_x.example.com", "with an underscore inside"),
            ("-mx.example.com", "with a hyphen in front"),
            ("mx-.example.com", "with a hyphen at a label's end"),
            ("-", "of a hyphen"),
            ("mx.münchen.example", "as a U-label"),
            ("ＭＸ.example", "in fullwidth letters"),
            ("mx。example", "with an ideographic full stop"),
            ("\u212a.example", "with the Kelvin sign, whose small letter is k"),
            ("mx.example.com, mx2.example.com", "of two with a comma"),
            ("mx.example.com mx2.example.com", "of two with a blank"),
            ("mx.example.com;", "with a semicolon"),
            ("mx.example.com:25", "with a port"),
            ("[192.0.2.1]", "as an address literal"),
            ("2001:db8::1", "as an IPv6 address"),
            ("10 mx.example.com", "with a preference"),
            ("postmaster@example.com", "as a mail address"),
            ("https://example.com/", "as a URL"),
            ("mx.example.com/", "with a slash"),
            ('"mx.example.com"', "in quotes"),
            ("mx.example.com # first", "with a comment"),
            ("a.example servername=evil", "with an attribute for Postfix"),
            ("a.example }", "with a brace"),
            ("mx\x00.example.com", "with a NUL"),
            ("mx.example.com\u00a0", "before a no-break space"),
            (f"{L63}a.example", "with a label of 64 octets"),
            (f"*.{L63}a", "wildcard with a label of 64 octets"),
            (f"{NAME253}a", "of 254 octets"),
            ("a." * 5000 + "a", "of ten thousand octets"),
        ]
    ),
    Bad("bad mx in mode none", 3, V + N + "mx: *\n" + A),
    Bad("empty mx in mode none", 3, V + N + "mx:\n" + A),
    # Extensions.
    *(
        Bad(f"extension {why}", 5, with_line(line))
        for line, why in [
            ("foo:", "without a value"),
            ("foo: \t", "of blanks"),
            ("foo", "without a colon"),
            ("-foo: bar", "with a hyphen in front"),
            (".foo: bar", "with a dot in front"),
            ("_foo: bar", "with an underscore in front"),
            (f"{NAME32}x: y", "with a name of 33 characters"),
            ("f o: bar", "with a blank in the name"),
            ("fö: bar", "with a name that is not ASCII"),
            ("foo\u00a0: bar", "with a no-break space behind the name"),
            ("foo: a\tb", "with a tab inside the value"),
        ]
    ),
    *(
        Bad(f"{char!r} in a name", 5, with_line(f"a{char}b: x"))
        for char in "!\"#$%&'()*+,/;<=>?@[\\]^`{|}~ \t\0\x7f"
    ),
    *(
        Bad(f"control character {code} in a value", 5, with_line(f"a: x{chr(code)}y"))
        for code in [*range(10), *range(11, 32), 127]
    ),
    *(
        Bad(f"{why} in a value", 5, (V + E + M + A).encode() + b"foo: a" + octets + b"b\n")
        for octets, why in [
            (b"\xff", "an octet that UTF-8 never has"),
            (b"\x80", "a continuation without a start"),
            (b"\xe9", "Latin-1"),
            (b"\xc3", "a start without continuation"),
            (b"\xc0\xaf", "an overlong slash"),
            (b"\xe0\x80\xaf", "an overlong slash of three octets"),
            (b"\xed\xa0\x80", "a surrogate"),
            (b"\xed\xa0\xbd\xed\xb3\xac", "a pair of surrogates (CESU-8)"),
            (b"\xf4\x90\x80\x80", "a code point beyond U+10FFFF"),
            (b"\xf8\x88\x80\x80\x80", "a sequence of five octets"),
            (b"\xe2\x82", "a sequence cut short"),
        ]
    ),
    Bad("half a character, as text", 5, with_line("foo: \ud83d")),
    Bad("no UTF-8 in a name", 2, V.encode() + b"m\xffde: enforce\n"),
    Bad("no UTF-8 in mx", 2, V.encode() + b"mx: \xff.example\n"),
    Bad("the first wrong line is named", 2, V + "mode: x\nmx: *\nmax_age: y\n"),
]
