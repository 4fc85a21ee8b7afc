"""Which column holds which field: by its header, in English or French, or as the user says."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from borne.errors import ListError
from borne_node import settings as node_settings

# Fields of model.Asset, in the order in which they are written.
FIELDS: Final = (
    *("asset", "kind", "profile", "board", "link", "region", "network", "site", "street"),
    *("latitude", "longitude"),
)
# What provisioning itself decides, or what is a field above.
_NOT_LISTED: Final = frozenset(
    {
        "name",
        "place",
        "slot",
        "dev_eui",
        "join_eui",
        "wifi_ssid",
        "mqtt_host",
        "mqtt_port",
        "mqtt_tls",
        "mqtt_user",
    }
)
SETTINGS: Final = tuple(name for name in node_settings.NAMES if name not in (*FIELDS, *_NOT_LISTED))

_WORDS: Final[Mapping[str, str]] = {
    "asset": "asset id, asset number, asset no, id, identifier, identifiant, numéro, num, no, n, n°, ref, reference, "
    "référence, repère, code, matricule, actif, équipement, numéro d'équipement, id équipement",
    "kind": "type, asset type, genre, nature, catégorie, category, usage, type d'équipement",
    "profile": "profil, privacy profile, profil de confidentialité",
    "board": "carte, board type, modèle de carte, carte électronique",
    "link": "liaison, lien, connection, connexion, radio, transport",
    "region": "région, région radio, frequency plan, plan de fréquences, bande",
    "network": "réseau, network server, serveur réseau, opérateur, operator",
    "site": "commune, quartier, district, zone, lot, secteur, chantier",
    "street": "rue, voie, address, adresse, nom de voie, road, lieu, emplacement, location",
    "latitude": "lat, latitude (°), latitude wgs84, lat wgs84",
    "longitude": "lon, lng, long, longitude (°), longitude wgs84, lon wgs84, long wgs84",
    "bays": "places, nombre de places, nb places, number of bays, spaces, stalls",
    "withheld_bays": "places réservées, reserved bays, reserved spaces, places privées, withheld bays",
    "refractory_s": "temporisation, refractory, durée réfractaire, temporisation (s)",
    "depth_mm": "profondeur, profondeur mm, depth, hauteur utile, container depth, profondeur (mm), depth (mm)",
    "offset_mm": "décalage, décalage mm, offset, décalage (mm), offset (mm), garde",
    "container": "conteneur, container type, type de conteneur, bac",
    "sensor": "capteur, sensor type, type de capteur",
    "floor_mm": "hauteur, mounting height, hauteur (mm), height (mm), hauteur de pose",
    "lamp_w": "puissance, power, puissance (w), power (w)",
    "antenna_dbi": "antenne, gain antenne, antenna gain, antenna",
    "fair_use_s": "fair use, temps d'antenne, airtime a day",
}
_NEAR: Final = 0.84


def fold(text: str) -> str:
    """Lower case without accents, and one space for whatever stands between the words."""
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter)
    )
    return re.sub(r"[^a-z0-9°%()]+", " ", plain.lower()).strip()


def _known() -> dict[str, str]:
    found = {fold(name): name for name in (*FIELDS, *SETTINGS)}
    for field, words in _WORDS.items():
        if field in FIELDS or field in SETTINGS:
            for word in words.split(", "):
                found.setdefault(fold(word), field)
    return found


def assign(headers: Sequence[str], given: Mapping[str, str]) -> tuple[dict[int, str], list[str]]:
    """Column number to field, and the headers of columns that are not read.

    `given` maps headers to fields, an empty one for "do not read it". Raises ListError: a header that is not there,
    a field that is unknown or stands in two columns, a header that is nearly one that is known.
    """
    chosen = _given(headers, given)
    known = _known()
    fields: dict[int, str] = {}
    ignored = []
    for number, header in enumerate(headers):
        field = chosen[number] if number in chosen else known.get(fold(header))
        if field:
            _refuse_second(headers, fields, number, field)
            fields[number] = field
        elif header:
            if number not in chosen:
                _refuse_near(header, known)
            ignored.append(header)
    if "asset" not in fields.values():
        raise ListError(
            f"no column is the asset's number; there are: {', '.join(filter(None, headers))}; "
            'say which with --map "HEADER=asset"'
        )
    return fields, ignored


def _given(headers: Sequence[str], given: Mapping[str, str]) -> dict[int, str]:
    folded = {fold(header): number for number, header in reversed(list(enumerate(headers)))}
    chosen = {}
    for header, field in given.items():
        if fold(header) not in folded:
            raise ListError(
                f"map: the list has no column {header!r}; it has: {', '.join(filter(None, headers))}"
            )
        if field and field not in (*FIELDS, *SETTINGS):
            near = difflib.get_close_matches(field, (*FIELDS, *SETTINGS), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there is: {', '.join((*FIELDS, *SETTINGS))}"
            raise ListError(f"map: {field!r} is no field; {hint}")
        chosen[folded[fold(header)]] = field
    return chosen


def _refuse_second(headers: Sequence[str], fields: Mapping[int, str], number: int, field: str) -> None:
    for earlier, other in fields.items():
        if other == field:
            raise ListError(
                f"the columns {headers[earlier]!r} and {headers[number]!r} both hold {field}: "
                f'leave one out with --map "{headers[number]}="'
            )


def _refuse_near(header: str, known: Mapping[str, str]) -> None:
    """A slip of the pen in a header must not lose a whole column in silence."""
    near = difflib.get_close_matches(fold(header), [one for one in known if len(one) > 3], n=1, cutoff=_NEAR)
    if near:
        raise ListError(
            f"column {header!r} is unknown; did you mean {known[near[0]]!r}? Say so with "
            f'--map "{header}={known[near[0]]}", or leave it out with --map "{header}="'
        )
