"""The words of the demo data set: senses, how they are related, and how they are inflected.

The tables below share one small notation. A line is a field of related senses,
`field: sense, sense, ...`; inside a sense

    /    parts synonyms            big/large
    <>   parts opposites           big/large <> small/little
    ~    starts the converse verbs defeat/beat ~ lose to

A converse verb tells the same event from the patient's side (A defeats B: B loses to A); a verb
that is its own converse is symmetric. The field's name is itself the hypernym of its senses
(`tool: hammer, saw`) unless it stands in parentheses.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Sense:
    """One meaning: the words that express it and its place among the other meanings.

    Senses on the same `axis` are equal or, with other `pole`, opposite; senses in the same
    `field` are related; a `hypernym` covers every sense of its field.
    """

    words: tuple[str, ...]
    field: str
    axis: str
    pole: int = 1
    hypernym: bool = False
    converse: tuple[str, ...] = ()

    @property
    def symmetric(self) -> bool:
        """Whether agent and patient may change places without changing what happened."""
        return self.converse == self.words


def _sense(text: str, field: str, axis: str, pole: int) -> Sense:
    words, _, converse = text.partition("~")
    return Sense(_split(words, "/"), field, axis, pole, converse=_split(converse, "/"))


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def parse(table: str) -> tuple[Sense, ...]:
    """Read a table in the module's notation, in the order in which it is written."""
    senses: list[Sense] = []
    for line in table.strip().splitlines():
        field, _, rest = line.partition(":")
        if not field.startswith("("):
            senses.append(Sense((field,), field, field, hypernym=True))
        for item in _split(rest, ","):
            poles = _split(item, "<>")
            axis = f"{field}: {poles[0]}"
            senses += [_sense(text, field, axis, 1 - 2 * i) for i, text in enumerate(poles)]
    return tuple(senses)


def opposite(sense: Sense, table: tuple[Sense, ...]) -> Sense | None:
    """The other pole of the sense's axis, if there is one."""
    return next((s for s in table if s.axis == sense.axis and s.pole != sense.pole), None)


def relative(sense: Sense, table: tuple[Sense, ...], rng: random.Random) -> Sense | None:
    """A sense of the same field on another axis, if there is one."""
    near = [s for s in table if s.field == sense.field and s.axis != sense.axis]
    return rng.choice(near) if near else None


def stranger(sense: Sense, table: tuple[Sense, ...], rng: random.Random) -> Sense:
    """A sense from another field."""
    return rng.choice([s for s in table if s.field != sense.field])


PEOPLE = parse("""
(medicine): doctor/physician, nurse, surgeon, dentist, pharmacist
(law): lawyer/attorney, judge, detective/investigator, police officer/cop
criminal: thief/robber, murderer/killer, smuggler, pirate
(school): teacher/schoolteacher, professor, pupil/schoolchild, librarian
child: boy/lad, girl, toddler, baby/infant
(kitchen): cook/chef, baker, butcher, waiter/server, bartender/barman
(army): soldier/trooper, general, spy/secret agent, guard/sentry
writer: author/novelist, journalist/reporter, poet
musician: singer/vocalist, drummer, violinist/fiddler, pianist
artist: painter, sculptor, actor/performer, photographer
(craft): carpenter/woodworker, plumber, tailor, electrician, mechanic
relative: father/dad, mother/mom, grandmother/grandma, grandfather/grandpa, uncle, aunt
(court): king/monarch, queen, prince, knight
athlete: runner/sprinter, swimmer, boxer/prizefighter, cyclist/bicyclist
(land): farmer, shepherd, gardener, hunter
(traffic): pilot/aviator, sailor/mariner, driver/motorist, passenger
(business): boss/employer, secretary, clerk, banker, salesman/seller
(religion): priest/clergyman, monk, nun, bishop
scientist: chemist, biologist, physicist, astronomer
politician: president, senator, mayor, governor
""")

THINGS = parse("""
vehicle: car/automobile, truck/lorry, bicycle/bike, bus, motorcycle/motorbike, taxi/cab
piece of furniture: sofa/couch, chair, table, bed, cupboard/cabinet, desk
garment: coat, jacket, sweater/pullover, shirt, skirt, dress/gown, hat
instrument: violin/fiddle, guitar, piano, flute, trumpet, drum
tool: hammer, saw, shovel/spade, axe/hatchet, ladder, drill
container: box/carton, bag/sack, bucket/pail, basket, suitcase, bottle
jewel: ring, necklace, bracelet, diamond, pearl
device: phone/telephone, television/TV, radio, camera, computer, clock
toy: doll, puppet/marionette, kite, ball, puzzle
boat: canoe, yacht, ferry, rowboat, sailboat
weapon: sword, gun/firearm, spear, bow, knife
picture: painting, photo/photograph, drawing/sketch, poster, map
""")

#: What people do to people.
DEEDS = parse("""
(speech): praise/compliment <> criticize/condemn, thank, warn/alert, phone/call/telephone
(work): hire/employ/recruit <> fire/dismiss/sack, pay, replace
(school): teach/instruct ~ learn from, advise/counsel
(care): help/assist/aid <> hinder/obstruct, rescue/save <> abandon/desert
(fight): protect/defend <> attack/assault, hurt/injure/wound <> heal/cure
(contest): defeat/beat ~ lose to, challenge
(politics): support/back <> oppose/resist, obey <> disobey/defy
(fear): frighten/scare/terrify <> calm/soothe
(mood): annoy/irritate/bother <> please/delight, amuse/entertain <> bore
(justice): arrest/apprehend <> release/free/let go, punish <> reward
(guilt): accuse/blame <> forgive/pardon, deceive/trick/fool
(motion): lead/guide ~ follow, chase/pursue, push/shove <> pull/drag
(company): visit, meet/encounter ~ meet/encounter, accompany/escort
(love): marry/wed ~ marry/wed, hug/embrace ~ hug/embrace
(sight): watch/observe, photograph, draw/sketch
""")

#: What people do to things.
HANDLING = parse("""
(trade): buy/purchase <> sell, order, rent/lease
(whereabouts): find/discover/locate <> lose/misplace
(possession): steal/swipe <> return/give back, borrow, inherit
(display): hide/conceal <> reveal/display/exhibit, photograph
(care): repair/fix/mend <> damage/ruin/wreck, clean <> soil/dirty, decorate
(choice): keep/retain <> discard/throw away/throw out, choose/select/pick <> reject/turn down
(judgment): inspect/examine/check, admire <> despise, measure
(making): make/produce/manufacture <> destroy/demolish, design
""")

#: What people are like.
CHARACTER = parse("""
(age): young/youthful <> old/elderly/aged
(means): rich/wealthy/affluent <> poor/penniless
(mood): happy/cheerful/joyful <> sad/unhappy/gloomy, angry/furious
(body): tall <> short, thin/slim/skinny <> fat/overweight, strong/muscular <> weak/feeble
(mind): clever/smart/intelligent <> stupid/foolish, curious/inquisitive
(heart): brave/courageous/fearless <> cowardly/timid, kind/good-hearted <> cruel/mean
(health): sick/ill/unwell <> healthy/fit, tired/weary/exhausted
(manners): polite/courteous <> rude/impolite
(habits): lazy/idle <> hardworking/diligent, quiet/silent <> noisy/loud
(renown): famous/well-known/celebrated <> unknown/obscure, honest/truthful <> dishonest
(origin): foreign, Italian, Dutch, Chinese, Mexican
""")

#: What things are like.
QUALITY = parse("""
(size): big/large/huge <> small/little/tiny
(age): old/ancient/aged <> new/brand-new
(price): cheap/inexpensive/low-priced <> expensive/costly/pricey
(state): clean/spotless <> dirty/filthy/grimy, wet/soaked <> dry, broken/damaged <> intact/undamaged
(looks): beautiful/lovely/pretty <> ugly/hideous, shiny/gleaming <> dull
(kind): strange/odd/weird <> ordinary/normal, rare/uncommon <> common
(truth): fake/counterfeit <> genuine/authentic
(strength): sturdy/solid/robust <> fragile/flimsy/delicate
(worth): valuable/precious <> worthless, useful/handy <> useless
(color): red/crimson, blue, green, yellow, purple/violet, white <> black, gray
""")

PLACES = parse("""
(home): in the kitchen, in the basement/in the cellar, in the attic/in the loft, in the bathroom
(outside): in the garden/in the yard, in the park, on the lawn/on the grass, on the playground
(street): on the street/on the road, on the sidewalk/on the pavement, on the bridge, in the alley
(shops): at the store/in the shop, at the market, at the supermarket/at the grocery store
(meals): at the restaurant/at the diner, in the pub/in the bar, in the cafe/in the coffee shop
(travel): at the airport, at the train station, at the hotel/at the inn, in the harbor/in the port
(wild): in the forest/in the woods, on the mountain, in the desert, in the swamp/in the marsh
(water): by the sea/by the ocean, near the river, at the lake, on the beach/on the shore
(town): in the city/in town, in the village, in the countryside
(office): at the office/at work, at the factory/at the plant, in the laboratory/in the lab
(public): at the hospital/at the clinic, at the church, in the museum, at the stadium/in the arena
(culture): at the cinema/at the movie theater, at the concert, in the library, in the classroom
(prison): in prison/in jail, in court
""")

TIMES = parse("""
(day): in the morning, at noon/at midday, in the evening, at night/after dark, at dawn/at sunrise
(week): on Monday, on Wednesday, on Friday, on Sunday
(past): yesterday/the day before today, last week/a week ago, last year/a year ago, last month
(season): in spring/in springtime, in summer/in summertime, in the fall/in autumn, in winter
(holiday): at Christmas/on Christmas Day, at Easter, on Halloween, on Thanksgiving
""")

#: Counts as words; some can be said in more ways than one.
NUMERALS: dict[int, tuple[str, ...]] = {
    2: ("two", "a pair of", "a couple of"),
    **{3: ("three",), 4: ("four",), 5: ("five",), 6: ("six", "half a dozen")},
    **{7: ("seven",), 8: ("eight",), 9: ("nine",), 10: ("ten",)},
    **{12: ("twelve", "a dozen"), 15: ("fifteen",), 20: ("twenty",)},
    **{24: ("twenty-four", "two dozen"), 40: ("forty",), 50: ("fifty",)},
    100: ("one hundred", "a hundred"),
}

#: Plurals that do not follow the rule; `piece of furniture` inflects its head.
PLURALS = {
    "child": "children",
    "schoolchild": "schoolchildren",
    "salesman": "salesmen",
    "barman": "barmen",
    "clergyman": "clergymen",
    "thief": "thieves",
    "knife": "knives",
    "monarch": "monarchs",
    "piece of furniture": "pieces of furniture",
}

#: Base, past tense and past participle of irregular verbs.
_IRREGULAR = """
beat/beat/beaten build/built/built buy/bought/bought choose/chose/chosen draw/drew/drawn
find/found/found forgive/forgave/forgiven give/gave/given hide/hid/hidden hurt/hurt/hurt
keep/kept/kept lead/led/led let/let/let lose/lost/lost make/made/made meet/met/met
pay/paid/paid sell/sold/sold steal/stole/stolen teach/taught/taught throw/threw/thrown
wed/wed/wed
"""
VERBS = {base: forms for base, *forms in (_split(verb, "/") for verb in _IRREGULAR.split())}

#: Verbs that double their last letter before `-ed`.
DOUBLING = ("drag", "hug")

#: First letters that do not tell the sound: "an honest man".
SILENT_H = ("honest",)


def past(verb: str) -> str:
    """Past tense; of a verb with a particle, its first word is inflected."""
    return _inflected(verb, 0)


def participle(verb: str) -> str:
    """Past participle."""
    return _inflected(verb, 1)


def _inflected(verb: str, form: int) -> str:
    head, space, particle = verb.partition(" ")
    regular = _regular_past(head)
    return VERBS.get(head, (regular, regular))[form] + space + particle


def _regular_past(verb: str) -> str:
    if verb in DOUBLING:
        return verb + verb[-1] + "ed"
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if _ends_in_consonant_y(verb) else verb + "ed"


def plural(noun: str) -> str:
    """Plural of a noun or noun phrase that ends in its head."""
    first, space, head = noun.rpartition(" ")
    if noun in PLURALS:
        return PLURALS[noun]
    if head in PLURALS:
        return first + space + PLURALS[head]
    if _ends_in_consonant_y(noun):
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def _ends_in_consonant_y(word: str) -> bool:
    return word.endswith("y") and word[-2] not in "aeiou"


def indefinite(phrase: str) -> str:
    """The phrase with `a` or `an`."""
    vowel = phrase.startswith((*"aeiouAEIO", *SILENT_H)) and not phrase.startswith("use")
    return ("an " if vowel else "a ") + phrase
