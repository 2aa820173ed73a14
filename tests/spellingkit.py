"""Spell the targets of requests in all the ways that may make a cache misread one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.util.url import _encode_target, parse_url

PRIVATE = (
    "/3/account",
    "/3/account/{n}",
    "/3/account/{n}/favorite/movies",
    "/3/authentication/token/new",
    "/3/authentication/guest_session/new",
    "/3/guest_session/{n}/rated/movies",
    "/3/list/{n}",
    "/3/list/{n}/item_status",
    "/4/account/{n}/lists",
    "/4/auth/request_token",
    "/4/list/{n}",
    "/4/list/{n}/clear",
    "/3/movie/{n}/account_states",
    "/3/tv/{n}/season/1/episode/2/account_states",
    "/3/movie/{n}/rating",
    "/3/tv/{n}/rating",
)
PUBLIC = (
    "/3/configuration",
    "/3/movie/{n}",
    "/3/movie/{n}/credits",
    "/3/movie/{n}/lists",
    "/3/movie/{n}/watch/providers",
    "/3/movie/popular",
    "/3/person/{n}",
    "/3/search/movie",
    "/3/discover/tv",
    "/3/find/tt{n}",
    "/3/tv/{n}",
    "/3/tv/{n}/season/1",
    "/3/tv/{n}/season/1/episode/2/credits",
)
PRIVATE_PAIRS = (
    ("session_id", "5e551011"),
    ("guest_session_id", "9e557"),
    ("callback", "show"),
    ("append_to_response", "account_states"),
    ("append_to_response", "credits,account_states"),
)
PUBLIC_PAIRS = (
    ("language", "de"),
    ("language", "fr-FR"),
    ("page", "1"),
    ("page", "2"),
    ("query", "fight+club"),
    ("query", "callback"),
    ("region", "DE"),
    ("with_genres", "18|35"),
    ("vote_average.gte", "7"),
    ("append_to_response", "credits"),
    ("append_to_response", "images,credits"),
    ("include_adult", ""),
)

CLASSICS = (
    "/3/movie/../account/1",
    "/3/movie/%2e%2e/account/1",
    "/3/movie/..%2faccount/1",
    "/3/movie/..%2Faccount%2F1",
    "/3/movie/..%5caccount/1",
    "/3/movie/..\\account/1",
    "/3/movie/%252e%252e/account/1",
    "/3/movie/%252e%252e%252faccount/1",
    "/3/movie/..;/account/1",
    "/3/movie/..;x=y/account/1",
    "/3/movie/.%2e;/account/1",
    "/3/credit/x%2F..%2F..%2Faccount",
    "/3/tv%2Fx/%2e%2e/account/1",
    "/3/./account/1",
    "/3//account/1",
    "//3/account/1",
    "///3///account///1",
    "//3/3/account/1",
    "//3/4/list/1",
    "/./3/account/1",
    "/%2e/3/account/1",
    "/x/../3/account/1",
    "/../3/account/1",
    "/3;x/account/1",
    "/3/account;x/1",
    "/3/account;jsessionid=1",
    "/3/;/account/1",
    "/3/ACCOUNT/1",
    "/3/Account/1",
    "/3/%61ccount/1",
    "/3/%2561ccount/1",
    "/%33/account/1",
    "/3%2Faccount/1",
    "/3%5Caccount/1",
    "/3\\account\\1",
    "/3/account/",
    "/3/account.json",
    "/3/account%20/1",
    "/3/account./1",
    "/3/account%00/1",
    "/3/account%00.json",
    "/3/account%0a/1",
    "/3/account%09",
    "/3/account%3Fx",
    "/3/account%23x",
    "/3/account?x",
    "/3/account#x",
    "/3/movie/..%c0%afaccount/1",
    "/3/movie/..%u002faccount/1",
    "/3/%c1%a1ccount/1",
    "/3/%u0061ccount/1",
    "/3/ａccount/1",
    "/3/acc%ADount/1",
    "/3/acc%C2%ADount/1",
    "/3/acc\tount/1",
    "/3/acc\nount/1",
    "/3/movie/．．/account/1",
    "/4/list/1",
    "/%34/list/1",
    "/3/movie/550/account_states",
    "/3/movie/550/account%5Fstates",
    "/3/movie/550/ACCOUNT_STATES/",
    "/3/movie/550/rating",
    "/3/movie/550/rating;x",
    "/3/movie/550%3Fsession_id=1",
    "/3/movie/550%3fcallback=x",
    "/3/movie/550?session_id=1",
    "/3/movie/550?SESSION_ID=1",
    "/3/movie/550?session%5Fid=1",
    "/3/movie/550?session%255Fid=1",
    "/3/movie/550?session_id[]=1",
    "/3/movie/550?session.id=1",
    "/3/movie/550?session+id=1",
    "/3/movie/550?%20session_id=1",
    "/3/movie/550?a=b;session_id=1",
    "/3/movie/550?a=b%26session_id=1",
    "/3/movie/550?a=b%26session_id%3D1",
    "/3/movie/550?a=b%2526session_id%253D1",
    "/3/movie/550?a=b&amp;session_id=1",
    "/3/movie/550??session_id=1",
    "/3/movie/550?&&session_id",
    "/3/movie/550?session_id",
    "/3/movie/550?guest_session_id=1",
    "/3/movie/550?callback=show",
    "/3/movie/550?callback",
    "/3/movie/550?append_to_response=account_states",
    "/3/movie/550?append_to_response=credits%2Caccount_states",
    "/3/movie/550?append_to_response=credits,%20Account_States",
    "/3/movie/550?append_to_response[]=account_states",
    "/3/movie/550?append_to_response=credits&append_to_response=account_states",
    "/3/movie/550?append_to_response=credits;account_states",
    "/3/movie/550?append_to_response=credits|account_states",
)
HOSTS = ("api.themoviedb.org",) * 12 + ("api.tmdb.org",)
HOST_TRICKS = (
    "API.TheMovieDB.org",
    "api.themoviedb.org.",
    "api.themoviedb.org:443",
    "api.themoviedb.org:80",
    "api.themoviedb.org:",
    "api.themoviedb.org:8443",
    "api.themoviedb.org:0443",
    "user:word@api.themoviedb.org",
    "api.themoviedb.org@evil.example",
    "evil.example@api.themoviedb.org",
    "api.themoviedb.org%40evil.example",
    "api.themoviedb.org%2Eevil.example",
    "api.themoviedb.org\\@evil.example",
    "evil.example\\@api.themoviedb.org",
    "evil.example#@api.themoviedb.org",
    "evil.example?@api.themoviedb.org",
    "api.themoviedb.org.evil.example",
    "api。themoviedb。org",
    "ａｐｉ.themoviedb.org",
    "api%2ethemoviedb%2eorg",
    "apı.themoviedb.org",
    "api.themoviedb.org\t",
    "api.themoviedb.org ",
    "[api.themoviedb.org]",
    "api.themoviedb.org:443:80",
    "api.tmdb.org:443",
    "API.TMDB.ORG",
    "www.themoviedb.org",
    "api.themoviedb.org,evil.example",
    "api.themoviedb.org&evil.example",
)
SCHEMES = ("https://",) * 90 + (
    "http://",
    "HTTPS://",
    "https:/",
    "https:///",
    " https://",
    "https:\\\\",
    "hTTp://",
    "//",
)

SLASHES = (
    *("//", "/./", "/%2e/", "///", "%2F", "%2f", "%252F", "%25252f", "\\", "%5C", "%5c", "%255c", "/\\", "\\/"),
    *("%c0%af", "%C0%AF", "%e0%80%af", "%u2215", "%u002f", "／", "%EF%BC%8F", "/;/", "/;x/", "/;x=1/", "/%20/"),
    *("/%09/", "/.;/", "/%2e;x/", "/%00/", "%00/", "/+/", "/ /", "/%3B/", "/%ff/", "/%E2%80%8B/", "/?/", "/%3F/"),
    *("%2f%2f", "%2F/", "/%2F", "/．/", "/%c0%ae/", "\t/", "/\n", "%0a/", "/#/", "/%23/", "/.%00/", "/.%20/"),
)
DOTS = (
    *("..", "%2e%2e", ".%2e", "%2E.", "%252e%252e", "%25252e.", "..;", "..;x=1", "..%3B", "..%00", "..%20", ".. "),
    *("..%09", "．．", "%EF%BC%8E%EF%BC%8E", "‥", "%E2%80%A5", "%c0%ae%c0%ae", "%u002e%u002e", "...", "..%ff", ".%00."),
    *("..%E2%80%8B", "..+", ".;x.", "%2e%2e;", "..\\", "..%5c", "..%2f", "%2e.%2F", ".\t.", "..\n", "..%0d", "..."),
)
JUNK = ("movie", "movie/550", "x", "tv%2Fx", "tv", "credit", "search/movie", "a;b", "%20", "a%2Fb", "3", "..", ".")
TAILS = (
    *(";", ";x", ";x=y", ";jsessionid=1", "%3B", "%3bx", ";x=..", ";/", ".", "%2e", "%20", " ", "+", "%00", "%00x"),
    *("%0a", "%09", "%A0", "%C2%A0", "%E2%80%8B", "%C2%AD", "%EF%BB%BF", ".json", ".xml", ".JSON", "%2ejson", "%3F"),
    *("%3Fx=1", "%23", "%23x", "#", "#x", "%ff", "%c0", "\n", "\t", "…", "%u0000", "%26", "&", ",", "%252e", "%2500"),
)
INSIDE = ("%00", "%ff", "%C2%AD", "\u200b", "\u00ad", "%09", "\t", "\n", "%E2%80%8D", "%c0", "\ufe0f", "%0d%0a")
SEPARATORS = (
    *(";", "%26", "%3B", "&&", "&amp;", "%2526", "?", "#", "%23", "&;", "%0a&", "&%20", "& ", "&+", "%00&", "&?"),
    *("%3F", "\n", ",", "|"),
)
EQUALS = ("%3D", "==", "=%20", "%20=", "%3d", "[]=", "%5B%5D=", "[0]=", "[x]=", "%00=", "%09=", "+=", "=+", "%253D")
COMMAS = (
    "%2C",
    "%2c",
    "%252C",
    ",%20",
    ", ",
    ",+",
    "+,",
    ";",
    "|",
    "%20",
    "+",
    ",,",
    "%0a",
    "，",
    "%EF%BC%8C",
    "/",
    "%00",
)
QUESTION_MARKS = ("%3F", "??", "?&", "#?", "%23?", "%253F", "?#", "？", "%EF%BC%9F", "/?", ";?", "?%26", "%00?")


class Sent(NamedTuple):
    """What requests makes of an URL: as whose it is sent, over which channel, and the targets on the wire."""

    url: str
    scheme: str
    host: str
    port: int | None
    targets: tuple[str, ...]


_ADAPTER = HTTPAdapter()


def sent(url: str, params: str = "", *, untouched: bool = False) -> Sent | None:
    """Say what requests and urllib3 put on the wire; None where they refuse to.

    ``untouched``: the URL is put into a request that has been prepared, as some programs do to keep their spelling.
    """
    request = PreparedRequest()
    try:
        if untouched:
            request.url = url
        else:
            request.prepare_url(url, params)
        if not str(request.url).lower().startswith(("http://", "https://")):
            return None  # no adapter is mounted for it
        host, _ = _ADAPTER.build_connection_pool_key_attributes(request, verify=True)
        if not host["host"]:
            return None
        targets = [str(_encode_target(request.path_url))]
        if host["scheme"] == "http":
            # To a proxy the whole URL is sent, which urllib3 reads once more.
            targets.append(parse_url(_ADAPTER.request_url(request, {"http": "http://proxy"})).request_uri)
    except (ValueError, TypeError, OSError):
        return None
    return Sent(str(request.url), host["scheme"], host["host"], host["port"], tuple(dict.fromkeys(targets)))


class Speller:
    """Spellings by grammar: a target, and up to four things done to its path, its query, their parts and names."""

    def __init__(self, seed: int, origin: str = "") -> None:
        self.random = random.Random(seed)
        self.number = 550 + seed
        self.origin = origin

    def url(self) -> str:
        """Return one more spelling."""
        chance = self.random.random
        wanted_private = chance() < 0.7
        by_query = wanted_private and chance() < 0.35
        path = self.one(PRIVATE if wanted_private and not by_query else PUBLIC).format(n=self.number)
        pairs = [self.one(PUBLIC_PAIRS) for _ in range(self.random.randrange(3))]
        if by_query:
            pairs.insert(self.random.randrange(len(pairs) + 1), self.one(PRIVATE_PAIRS))
        segments, slashes = path.split("/")[1:], ["/"] * path.count("/")
        fields = [[name, "=", value, "&"] for name, value in pairs]
        mark, scheme, host = "?", self.one(SCHEMES), self.one(HOSTS)
        for _ in range(self.random.choice((1, 1, 2, 2, 3, 4))):
            if fields and chance() < (0.85 if by_query else 0.25):
                if chance() < 0.9:
                    self.spell_field(fields)
                else:
                    mark = self.one(QUESTION_MARKS)
            elif chance() < 0.97:
                self.spell_path(segments, slashes)
            else:
                host = self.one(HOST_TRICKS)
        whole = "".join(slash + segment for slash, segment in zip(slashes, segments, strict=True))
        query = "".join("".join(field) for field in fields)
        if query and chance() < 0.9:
            query = query[: -len(fields[-1][3])]
        return f"{self.origin or scheme + host}{whole}{mark if query else ''}{query}"

    def one(self, of: tuple[str, ...] | tuple[tuple[str, str], ...]) -> Any:
        return of[int(self.random.random() * len(of))]

    def spell_path(self, segments: list[str], slashes: list[str]) -> None:
        """Do one thing to a path."""
        at = self.random.randrange(len(segments))
        what = self.random.randrange(11)
        if what < 3:
            segments[at] = self.spell(segments[at])
        elif what < 5:
            slashes[at] = self.one(SLASHES)
        elif what < 6:
            segments[at] += self.one(TAILS)
        elif what < 7:
            segments.append("")
            slashes.append(self.one(("/", *SLASHES)))
        elif what < 8:
            segments.insert(0, self.one(JUNK))
            slashes.insert(0, "//")
        else:
            junk = [self.one(JUNK) for _ in range(self.random.choice((1, 1, 1, 2, 0)))]
            up = sum(part.count("/") + 1 for part in junk) if self.random.random() < 0.8 else 1 + len(junk)
            between = [*junk, *(self.one(DOTS) if self.random.random() < 0.7 else ".." for _ in range(up or 1))]
            segments[at:at] = between
            slashes[at:at] = [self.one(SLASHES) if self.random.random() < 0.4 else "/" for _ in between]

    def spell_field(self, fields: list[list[str]]) -> None:
        """Do one thing to a query."""
        at = self.random.randrange(len(fields))
        field = fields[at]
        what = self.random.randrange(10)
        if what < 4:
            field[0] = self.spell_name(field[0])
        elif what < 5:
            field[1] = self.one(EQUALS)
        elif what < 6:
            if "," in field[2]:
                field[2] = field[2].replace(",", self.one(COMMAS))
            else:
                field[2] = self.one(("", "x" + self.one(COMMAS), self.one(COMMAS))) + field[2]
        elif what < 7:
            field[2] = self.spell(field[2])
        elif what < 9:
            fields.insert(at, [*self.one((*PUBLIC_PAIRS, ("api_key", "k"), ("", ""))), "", ""])
            fields[at][1:] = ["=", fields[at][1], self.one(SEPARATORS) if self.random.random() < 0.7 else "&"]
        else:
            field[3] = self.one(SEPARATORS)

    def spell_name(self, name: str) -> str:
        """Spell the name of a param as another one that frameworks take for it."""
        what = self.random.randrange(8)
        if what == 0:
            return name.replace(
                "_", self.one(("-", ".", "%20", "+", "%2e", "[", "%5F", "%5f", "__", "%255F", " ", "＿", ""))
            )
        if what == 1:
            return name + self.one(("[]", "[0]", "%5B%5D", "[", "%20", "+", ".", "%00", "%00x", "%09", " ", "_", "[x]"))
        if what == 2:
            return (
                self.one(("+", "%20", " ", "_", "?", "%3F", "&", "%26", ".", "\t", "%0a", "%EF%BB%BF", "%00", "$"))
                + name
            )
        return self.spell(name)

    def spell(self, text: str) -> str:
        """Spell a segment, a name or a value otherwise: escapes, case, width, things that are not seen."""
        if not text:
            return text
        what = self.random.randrange(7)
        if what < 2:
            return "".join(self.escape(char) if self.random.random() < 0.4 else char for char in text)
        at = self.random.randrange(len(text))
        before, char, after = text[:at], text[at], text[at + 1 :]
        if what == 2:
            return before + self.escape(char).replace("%", "%25") + after
        if what == 3:
            return self.one((text.upper(), text.title(), text.swapcase(), before + char.upper() + after))
        if what == 4:
            wide = chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char
            return before + self.one((wide, "".join(f"%{byte:02X}" for byte in wide.encode()))) + after
        if what == 5:
            return before + self.one(INSIDE) + char + after
        # urlsplit drops a line break: what it parted is an escape on the wire.
        broken = f"%\n{ord(char):02x}"
        return before + self.one((self.overlong(char), f"%u{ord(char):04x}", f"%{ord(char):02X}", broken)) + after

    def escape(self, char: str) -> str:
        escaped = "".join(f"%{byte:02x}" for byte in char.encode())
        return escaped.upper() if self.random.random() < 0.5 else escaped

    @staticmethod
    def overlong(char: str) -> str:
        code = ord(char)
        return f"%{0xC0 | code >> 6:02x}%{0x80 | code & 63:02x}" if code < 128 else char


def spellings(seed: int, number: int, origin: str = "") -> Iterator[tuple[str, bool]]:
    """Yield distinct spellings of URLs, and whether requests is to leave the spelling alone."""
    speller = Speller(seed, origin)
    seen: set[tuple[str, bool]] = set()
    while len(seen) < number:
        spelt = speller.url(), speller.random.random() < 0.4
        if spelt not in seen:
            seen.add(spelt)
            yield spelt
