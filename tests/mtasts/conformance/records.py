"""TXT answers (RFC 8461 section 3.1), each with its verdict and one line saying why."""

from __future__ import annotations

from typing import NamedTuple

from policies.mtasts import MultipleRecordsError, NoRecordError, RecordSyntaxError

Text = str | bytes


class Good(NamedTuple):
    txt: Text
    id: str
    extensions: list[tuple[str, str]]
    why: str


class Refused(NamedTuple):
    txt: Text
    why: str


ID32 = "0123456789abcdefghijABCDEFGHIJkl"
NAME32 = "n234567890123456789012345678_-.z"

GOOD = [
    Good("v=STSv1; id=20160831085700Z;", "20160831085700Z", [], "the RFC's own example"),
    Good("v=STSv1; id=20190429T010101;", "20190429T010101", [], "Google's style"),
    Good("v=STSv1; id=20190225000000Z;", "20190225000000Z", [], "Microsoft's style"),
    Good("v=STSv1;id=1", "1", [], "blanks are optional, so is the last delimiter"),
    Good("v=STSv1; id=1", "1", [], "no last delimiter"),
    Good("v=STSv1;id=1;", "1", [], "last delimiter without blanks"),
    Good("v=STSv1; id=1; ", "1", [], "blanks belong to the last delimiter"),
    Good("v=STSv1; id=1 ;", "1", [], "blank before the last delimiter"),
    Good("v=STSv1; id=1 \t ; \t ", "1", [], "blanks and tabs on both sides of the last delimiter"),
    Good("v=STSv1 ; id=1", "1", [], "D1: a blank before ';' is a candidate"),
    Good("v=STSv1\t;\tid=1", "1", [], "tabs are blanks too"),
    Good("v=STSv1   \t  ;   \t id=1", "1", [], "any number of blanks"),
    Good(f"v=STSv1; id={ID32}", ID32, [], "32 alphanumerics are the longest id"),
    Good("v=STSv1; id=aBc", "aBc", [], "case of the id is kept"),
    Good("v=STSv1; id=000", "000", [], "zeros are kept: the id is no number"),
    Good("v=STSv1; id=1; a=b", "1", [("a", "b")], "an unknown field is accepted"),
    Good("v=STSv1; a=b; id=1", "1", [("a", "b")], "only the version has a fixed place"),
    Good("v=STSv1;a=b;id=1;c=d;", "1", [("a", "b"), ("c", "d")], "fields on both sides"),
    Good("v=STSv1; id=1; id=2", "1", [], "the first id wins"),
    Good("v=STSv1; id=1; id=not/alnum", "1", [], "a later id is not looked into"),
    Good(f"v=STSv1; id=1; id={ID32}x", "1", [], "a later id may be too long to be one"),
    Good("v=STSv1; v=STSv1; id=1", "1", [], "a second version is ignored"),
    Good("v=STSv1; v=STSv2; id=1", "1", [], "whatever it says"),
    Good("v=STSv1; id=1; v=x; v=y", "1", [], "and wherever it stands"),
    Good("v=STSv1; id=1; a=b; a=c", "1", [("a", "b")], "the first of an extension wins"),
    Good("v=STSv1; id=1; a=b; A=c", "1", [("a", "b"), ("A", "c")], "names differ by case"),
    Good("v=STSv1; ID=2; id=1", "1", [("ID", "2")], "'ID' is another field than 'id'"),
    Good("v=STSv1; id=1; Id=2; V=3", "1", [("Id", "2"), ("V", "3")], "so are 'Id' and 'V'"),
    Good("v=STSv1; idx=2; id=1", "1", [("idx", "2")], "a name that begins like id"),
    Good(f"v=STSv1; id=1; {NAME32}=x", "1", [(NAME32, "x")], "32 characters are the longest name"),
    Good("v=STSv1; id=1; a_b-c.d=x", "1", [("a_b-c.d", "x")], "'_', '-', '.' inside a name"),
    Good("v=STSv1; id=1; a-=x; b.=y", "1", [("a-", "x"), ("b.", "y")], "or at its end"),
    Good("v=STSv1; id=1; 0=x", "1", [("0", "x")], "a name may begin with a digit"),
    Good("v=STSv1; id=1; u=https://x/?a&b", "1", [("u", "https://x/?a&b")], "':', '/', '?', '&'"),
    Good('v=STSv1; id=1; q="x"', "1", [("q", '"x"')], "quotes are ordinary characters"),
    Good("v=STSv1; id=1; m={x},(y)", "1", [("m", "{x},(y)")], "so are braces"),
    Good("v=STSv1; id=1; x=" + "y" * 500, "1", [("x", "y" * 500)], "a value has no longest form"),
    *(
        Good(f"v=STSv1; id=1; x=a{char}b", "1", [("x", f"a{char}b")], f"{char!r} in a value")
        for char in "!\"#$%&'()*+,-./0189:<>?@AZ[\\]^_`az{|}~"
    ),
]

FOREIGN = [
    Refused("", "an empty string"),
    Refused("v=spf1 -all", "SPF"),
    Refused("v=TLSRPTv1; rua=mailto:a@example.com", "TLSRPT"),
    Refused("v=DMARC1; p=none", "DMARC"),
    Refused("google-site-verification=abc", "a verification token"),
    Refused("v=STSv1", "the version must be delimited, else it may be the beginning of another"),
    Refused("v=STSv1 ", "a blank delimits nothing"),
    Refused("v=STSv1 id=1", "nor does it separate fields"),
    Refused("v=STSv1, id=1", "nor does a comma"),
    Refused("v=STSv1: id=1", "nor does a colon"),
    Refused("v=STSv10; id=1", "a later version"),
    Refused("v=STSv2; id=1", "another version"),
    Refused("v=STSv; id=1", "no version"),
    Refused("V=STSv1; id=1", "the name is case-sensitive"),
    Refused("v=stsv1; id=1", "the value is case-sensitive"),
    Refused("v=STSV1; id=1", "to its last letter"),
    Refused(" v=STSv1; id=1", "a blank in front"),
    Refused("\tv=STSv1; id=1", "a tab in front"),
    Refused("\ufeffv=STSv1; id=1", "a byte order mark in front"),
    Refused('"v=STSv1; id=1"', "quotes that a control panel has added"),
    Refused("'v=STSv1; id=1'", "the other quotes"),
    Refused("v = STSv1; id=1", "blanks around '='"),
    Refused("v=STSv1\u00a0; id=1", "a no-break space is no blank"),
    Refused("v=STSv1\n; id=1", "a line end is no blank"),
    Refused("v=STSv1\\; id=1", "an escape from a zone file"),
    Refused("v=STSv1\u037e id=1", "the Greek question mark is no ';'"),
    Refused("v＝STSv1; id=1", "a fullwidth '='"),
    Refused("id=1; v=STSv1;", "the version must come first"),
    Refused(";v=STSv1; id=1", "not even after an empty field"),
    Refused("x v=STSv1; id=1", "not anywhere else"),
    Refused(b"\x00v=STSv1; id=1", "a NUL in front"),
    Refused("v=STSv1; id=1".encode("utf-16"), "UTF-16"),
    Refused("\ud800v=STSv1; id=1", "half a character"),
]

BROKEN = [
    Refused("v=STSv1;", "the id is required"),
    Refused("v=STSv1; ", "the id is required, blanks or not"),
    Refused("v=STSv1 \t; \t", "the id is required behind tabs"),
    Refused("v=STSv1; a=b", "an extension is no id"),
    Refused("v=STSv1; ID=1", "the name of the id is case-sensitive"),
    Refused("v=STSv1; Id=1;", "to each letter"),
    Refused("v=STSv1; v=STSv1;", "nor is a second version an id"),
    Refused("v=STSv1; id", "no '='"),
    Refused("v=STSv1; id=", "no value"),
    Refused("v=STSv1; id=;", "no value before the delimiter"),
    Refused("v=STSv1; id= 1", "a blank behind '='"),
    Refused("v=STSv1; id =1", "a blank before '='"),
    Refused("v=STSv1; id:1", "a colon for '='"),
    Refused("v=STSv1; id==1", "'=' twice"),
    Refused("v=STSv1; id=1=", "'=' at the end"),
    Refused(f"v=STSv1; id={ID32}m", "33 characters"),
    Refused("v=STSv1; id=2016-08-31", "a hyphen in the id"),
    Refused("v=STSv1; id=20160831T08:57", "a colon in the id"),
    Refused("v=STSv1; id=1.2", "a dot in the id"),
    Refused("v=STSv1; id=a_b", "an underscore in the id"),
    Refused('v=STSv1; id="1"', "quotes around the id"),
    Refused("v=STSv1; id=1,2", "a comma in the id"),
    Refused("v=STSv1; id=1, a=b", "a comma for a delimiter"),
    Refused("v=STSv1; id=1 a=b", "a blank for a delimiter"),
    Refused("v=STSv1; id=1 2", "a blank in the id"),
    Refused("v=STSv1; id=é", "not ASCII"),
    Refused("v=STSv1; id=１", "a fullwidth digit"),
    Refused("v=STSv1; id=٣", "an Arabic digit"),
    Refused("v=STSv1; id=1²", "a digit to Python's isalnum, not to us"),
    Refused("v=STSv1; id=1\u00a0", "a no-break space at the end"),
    Refused(b"v=STSv1; id=1\xa0", "the same in Latin-1"),
    Refused(b"v=STSv1; id=1\xff", "no UTF-8 either"),
    Refused("v=STSv1; id=\udc80", "half a character"),
    Refused("v=STSv1;\u00a0id=1", "a no-break space for a blank"),
    Refused("v=STSv1; id=1 ", "a blank at the end needs a delimiter"),
    Refused("v=STSv1; id=1\t", "a tab too"),
    Refused("v=STSv1; id=1; a=b ", "behind an extension too"),
    Refused("v=STSv1; id=1\n", "a line end at the end"),
    Refused("v=STSv1; id=1;\n", "behind the delimiter"),
    Refused("v=STSv1;\r\nid=1", "a line end for a blank"),
    Refused("v=STSv1; id=1\x00", "a NUL"),
    Refused("v=STSv1; id=1;\x0b", "a vertical tab is no blank"),
    Refused("v=STSv1;; id=1", "an empty field"),
    Refused("v=STSv1; ; id=1", "an empty field of blanks"),
    Refused("v=STSv1; id=1;;", "an empty field at the end"),
    Refused("v=STSv1; id=1; ;", "the same with a blank"),
    Refused("v=STSv1; id=1;;a=b", "an empty field between two"),
    Refused("v=STSv1;;", "empty fields alone"),
    Refused("v=STSv1; id=1; a", "an extension without '='"),
    Refused("v=STSv1; id=1; a=", "an extension without a value"),
    Refused("v=STSv1; id=1; =b", "an extension without a name"),
    Refused("v=STSv1; id=1; =", "neither"),
    Refused("v=STSv1; id=1; a=b c", "a blank in a value"),
    Refused("v=STSv1; id=1; a=b\tc", "a tab in a value"),
    Refused("v=STSv1; id=1; a= b", "a blank before a value"),
    Refused("v=STSv1; id=1; a =b", "a blank behind a name"),
    Refused("v=STSv1; id=1; a=b=c", "'=' in a value"),
    Refused("v=STSv1; id=1; a==", "'=' as a value"),
    Refused("v=STSv1; id=1; -a=b", "a name begins with a letter or digit"),
    Refused("v=STSv1; id=1; .a=b", "not with a dot"),
    Refused("v=STSv1; id=1; _a=b", "not with an underscore"),
    Refused(f"v=STSv1; id=1; {NAME32}x=b", "a name of 33 characters"),
    Refused("v=STSv1; id=1; é=b", "a name that is not ASCII"),
    Refused("v=STSv1; id=1; a=é", "a value that is not ASCII"),
    Refused("v=STSv1; id=1; a=b\x7f", "DEL"),
    Refused("v=STSv1; id=1; id=", "a later id still needs a value"),
    Refused("v=STSv1; id=1; id", "and its '='"),
    Refused("v=STSv1; id=1; id=a=b", "and a value of the grammar"),
    Refused("v=STSv1; id=1; v=", "so does a later version"),
    Refused("v=STSv1; id=1; a=b; a=", "and a later extension"),
    Refused("v=STSv1; id=-; id=1", "the first id counts, and it is none"),
    Refused("v=STSv1; id=1v=STSv1; id=2", "two records in one string, joined without delimiter"),
    Refused("v=STSv1; id=1\\;", "an escape from a zone file"),
    Refused('v=STSv1; id=1;"', "a stray quote"),
    Refused("v=STSv1; <html>", "something else altogether"),
    *(
        Refused(f"v=STSv1; id=1; a{char}b=c", f"{char!r} in a name")
        for char in "!\"#$%&'()*+,/:<>?@[\\]^`{|}~"
    ),
    *(
        Refused(b"v=STSv1; id=1; x=a%cb" % code, f"control character {code} in a value")
        for code in [*range(32), 127]
    ),
    *(
        Refused(b"v=STSv1; id=a%cb" % code, f"octet {code} in the id")
        for code in (0, 9, 10, 13, 32, 33, 45, 46, 47, 58, 64, 91, 95, 96, 123, 127, 128, 255)
    ),
]

STS, STS2 = "v=STSv1; id=1;", "v=STSv1; id=2;"
SPF = "v=spf1 -all"

ANSWERS: list[tuple[list[Text], str | type[Exception], str]] = [
    ([], NoRecordError, "an empty answer"),
    ([SPF], NoRecordError, "nothing of ours"),
    ([SPF, "", "x"], NoRecordError, "nothing of ours, three times"),
    ([STS], "1", "one"),
    ([STS, SPF], "1", "one and another kind"),
    ([SPF, STS], "1", "the other kind first"),
    ([SPF, STS.encode(), b"\xff\x00"], "1", "bytes and text mixed"),
    ([STS, "v=STSv1"], "1", "what is no candidate does not count"),
    ([STS, "v=STSv10; id=2"], "1", "a later version does not count"),
    ([STS, "V=STSv1; id=2"], "1", "another case does not count"),
    ([STS, " v=STSv1; id=2"], "1", "a blank in front does not count"),
    ([STS, STS2], MultipleRecordsError, "two"),
    ([STS, STS], MultipleRecordsError, "two that are equal"),
    ([STS, STS.encode()], MultipleRecordsError, "equal, as text and as bytes"),
    ([STS, SPF, STS2], MultipleRecordsError, "two, and another kind"),
    ([STS, STS2, STS], MultipleRecordsError, "three"),
    ([STS, "v=STSv1;"], MultipleRecordsError, "a good one and a broken one count as two"),
    (["v=STSv1;", STS], MultipleRecordsError, "in either order"),
    (["v=STSv1;", "v=STSv1;"], MultipleRecordsError, "two broken ones"),
    ([STS, "v=STSv1 ; id=2"], MultipleRecordsError, "D1: the blank makes it a candidate"),
    ([STS, b"v=STSv1;\xff"], MultipleRecordsError, "a candidate of wrong bytes counts"),
    (["v=STSv1;"], RecordSyntaxError, "one, broken"),
    ([SPF, "v=STSv1; id=!"], RecordSyntaxError, "one, broken, and another kind"),
]
