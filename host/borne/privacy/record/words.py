"""What the documents say, in both languages. Figures never stand here: they come from the policy table."""

from __future__ import annotations

from typing import Final

LANGUAGES: Final = ("en", "fr")

# What only a person knows. `borne privacy record` lists those that were not given and invents none.
FACTS: Final = {
    "controller": ("Controller (name and address)", "Responsable du traitement (nom et adresse)"),
    "contact": (
        "Who answers questions (phone or e-mail)",
        "Qui répond aux questions (téléphone ou courriel)",
    ),
    "dpo": ("Data protection officer", "Délégué à la protection des données"),
    "legal_basis": ("Legal basis", "Base légale"),
    "purpose": ("Purpose", "Finalité"),
    "recipients": ("Recipients", "Destinataires"),
    "retention_platform": ("Retention on the city platform", "Durée de conservation sur la plateforme"),
    "url": ("Web address of the full record", "Adresse web du registre complet"),
}

# Per profile: title; what is measured; what leaves; singling out, linkability, inference; residual risk.
PROFILES: Final = {
    "zone": {
        "en": (
            "Occupied bays of a zone",
            "whether a car stands over each magnetic sensor",
            "the number of occupied bays of the zone, with random noise added; how many sensors work",
            "No: a frame holds one noised count of the whole zone; no bay and no vehicle is told apart.",
            "No: nothing in a frame comes from a vehicle; the noise of each window is drawn anew.",
            "Bounded: one vehicle more or less changes the odds of any frame by at most e^epsilon a window.",
            "Somebody who knows all other vehicles of the zone learns a little, bounded as above. The bound adds up over "
            "the windows of one stay.",
        ),
        "fr": (
            "Places occupées d'une zone",
            "la présence d'une voiture au-dessus de chaque capteur magnétique",
            "le nombre de places occupées de la zone, avec un bruit aléatoire ; le nombre de capteurs en état",
            "Non : une trame porte un seul compte bruité de toute la zone ; ni place ni véhicule n'y est distingué.",
            "Non : rien dans une trame ne provient d'un véhicule ; le bruit de chaque fenêtre est tiré à nouveau.",
            "Bornée : un véhicule de plus ou de moins change la vraisemblance d'une trame d'un facteur d'au plus "
            "e^epsilon par fenêtre.",
            "Qui connaît tous les autres véhicules de la zone apprend un peu, dans la borne ci-dessus. La borne s'additionne "
            "sur les fenêtres d'un même stationnement.",
        ),
    },
    "bay": {
        "en": (
            "Share of the hour of single bays",
            "whether a car stands over each magnetic sensor",
            "for each public bay the share of the hour for which it was occupied, in quarters; never of reserved, "
            "disabled or private bays",
            "Only with knowledge from elsewhere: who saw a car arrive guesses its departure better than without the frames.",
            "No: nothing in a frame comes from a vehicle.",
            "Measured, not bounded by noise: see the attack 'parking singling-out' with this profile.",
            "On a quiet street, or where everybody knows whose car stands there, this profile is not to be used.",
        ),
        "fr": (
            "Part de l'heure de places isolées",
            "la présence d'une voiture au-dessus de chaque capteur magnétique",
            "pour chaque place publique, la part de l'heure pendant laquelle elle était occupée, en quarts ; jamais des "
            "places réservées, pour personnes handicapées ou privées",
            "Seulement avec un savoir extérieur : qui a vu arriver une voiture devine mieux son départ que sans les trames.",
            "Non : rien dans une trame ne provient d'un véhicule.",
            "Mesurée, non bornée par un bruit : voir l'attaque « parking singling-out » avec ce profil.",
            "Dans une rue calme, ou là où chacun sait à qui est la voiture, ce profil ne doit pas servir.",
        ),
    },
    "live": {
        "en": (
            "Free and occupied bays, at once",
            "whether a car stands over each magnetic sensor",
            "for each bay, free or occupied, as soon as it changes",
            "YES: arrival and departure of each car are told to the minute.",
            "Possible: the times of a car under several nodes can be joined.",
            "Unbounded: habits of whoever uses a bay can be read off.",
            "This profile is personal data about whoever parks there. It needs a legal basis and an impact assessment.",
        ),
        "fr": (
            "Places libres et occupées, en direct",
            "la présence d'une voiture au-dessus de chaque capteur magnétique",
            "pour chaque place, libre ou occupée, dès qu'elle change",
            "OUI : l'arrivée et le départ de chaque voiture sont dits à la minute.",
            "Possible : les heures d'une voiture sous plusieurs capteurs peuvent être rapprochées.",
            "Non bornée : les habitudes de qui utilise une place peuvent se lire.",
            "Ce profil produit des données personnelles sur qui s'y gare. Il lui faut une base légale et une analyse d'impact.",
        ),
    },
    "light": {
        "en": (
            "Presence and light at a lamp post",
            "motion under the lamp (infrared, no image, no sound) and brightness",
            "how often somebody passed in the hour, with random noise, and nothing when that is few; a class of brightness",
            "No: a frame holds one noised count of an hour, of the whole night as one; small counts are withheld.",
            "No: the sensor knows motion only; nothing in a frame comes from a person.",
            "Bounded: one passage more or less changes the odds of any frame by at most e^epsilon.",
            "Somebody who knows all other passers-by of the hour learns a little, bounded as above. The bound adds up over "
            "the passages of one person.",
        ),
        "fr": (
            "Présence et lumière à un candélabre",
            "le mouvement sous la lampe (infrarouge, ni image ni son) et la luminosité",
            "combien de fois on est passé dans l'heure, avec un bruit aléatoire, et rien quand c'est peu ; une classe de "
            "luminosité",
            "Non : une trame porte un seul compte bruité de l'heure, de la nuit entière en une fois ; les petits comptes sont "
            "retenus.",
            "Non : le capteur ne connaît que le mouvement ; rien dans une trame ne provient d'une personne.",
            "Bornée : un passage de plus ou de moins change la vraisemblance d'une trame d'un facteur d'au plus e^epsilon.",
            "Qui connaît tous les autres passants de l'heure apprend un peu, dans la borne ci-dessus. La borne s'additionne "
            "sur les passages d'une même personne.",
        ),
    },
    "fill": {
        "en": (
            "Filling level of a container",
            "the distance to the waste, by ultrasound, and the temperature",
            "the level in coarse steps a few times a day, the temperature, whether the container leans or burns",
            "No: a level stands for all households that use the container; no opening of the lid is reported.",
            "No: nothing in a frame comes from a person.",
            "Bounded by the steps and the number of households.",
            "A container of few households would show their habits: this profile is for eleven households or more.",
        ),
        "fr": (
            "Remplissage d'un conteneur",
            "la distance aux déchets, par ultrasons, et la température",
            "le niveau par paliers quelques fois par jour, la température, si le conteneur penche ou brûle",
            "Non : un niveau vaut pour tous les foyers qui utilisent le conteneur ; aucune ouverture n'est signalée.",
            "Non : rien dans une trame ne provient d'une personne.",
            "Bornée par les paliers et le nombre de foyers.",
            "Un conteneur de peu de foyers montrerait leurs habitudes : ce profil vaut à partir de onze foyers.",
        ),
    },
}
SAYS: Final = {
    "anonymous": ("anonymous", "anonyme"),
    "anonymous within the measured bound": (
        "anonymous within the measured bound",
        "anonyme dans la limite mesurée",
    ),
    "not anonymous": ("NOT ANONYMOUS", "PAS ANONYME"),
}
UNITS: Final = {
    "vehicle": ("vehicle", "véhicule"),
    "passage": ("passage", "passage"),
    "household": ("household", "foyer"),
}
