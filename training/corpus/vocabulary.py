"""Common English words by part of speech, and short texts in other languages, written for this project."""

from typing import Final

PEOPLE: Final = tuple(
    """mother father brother sister uncle aunt cousin baby boy girl man woman friend neighbour teacher doctor nurse
    farmer baker painter singer dancer driver pilot sailor soldier writer reader builder plumber lawyer judge waiter
    manager worker student child grandmother grandfather stranger visitor guest guard keeper player captain partner
    husband wife nephew niece parent leader member founder maker owner officer engineer scientist artist actor
    actress musician drummer fisherman postman policeman shepherd butcher barber tailor weaver potter mayor president
    queen king prince princess witch wizard giant pirate thief hero mayor chef cook coach runner swimmer climber
    gardener hunter inventor mechanic merchant miner model monk mover nanny novelist optician orphan patient pianist
    poet porter professor programmer publisher ranger reporter robber scholar secretary sculptor seller servant
    speaker spy supplier surgeon surveyor tenant tourist trader trainer traveller umpire vet volunteer voter warden
    winner woodcutter youth bishop""".split()
)

THINGS: Final = tuple(
    """apple orange banana lemon peach plum pear grape melon berry cherry mango bread butter cheese milk cream sugar
    salt pepper soup stew rice bean pea carrot potato tomato onion cabbage garlic mushroom egg bacon ham beef lamb
    pork fish chicken turkey cake pie cookie biscuit pudding jam honey coffee tea juice water wine beer table chair
    bed lamp desk shelf door window wall floor roof room house home kitchen bathroom garden garage basement attic
    stair fence gate path road street bridge tunnel river lake sea ocean beach island mountain hill valley forest
    wood tree leaf branch root flower rose grass field farm barn cow horse sheep goat pig dog cat mouse rabbit fox
    wolf bear lion tiger monkey elephant whale shark frog toad snake bird robin crow owl eagle goose duck swan
    bee wasp butterfly moth beetle spider worm snail shoe boot sock shirt coat jacket hat glove scarf belt button
    pocket bag box basket bottle cup mug glass plate bowl knife fork spoon pan pot oven stove fridge freezer
    kettle bucket broom brush mop soap towel mirror clock watch phone radio camera computer keyboard screen printer
    paper pen pencil book page letter map picture painting photo film movie song music piano guitar violin drum
    trumpet flute bell game ball bat doll toy puzzle kite boat ship ferry plane train bus truck van car bicycle
    wheel engine motor tyre pump pipe tap valve wire rope chain nail hammer saw screw bolt tool ladder brick stone
    rock sand mud clay gold silver iron copper steel wood plastic rubber leather cotton wool silk money coin purse
    wallet ticket passport key lock stamp parcel gift present party wedding birthday holiday weekend morning evening
    night afternoon summer winter spring autumn rain snow wind storm cloud sun moon star sky fog frost ice fire
    smoke flame ash coal oil gas light shadow colour shape line circle square corner edge middle top bottom side
    front back place village town city market shop store office factory school college church museum library theatre
    cinema hotel restaurant cafe hospital station airport harbour park zoo stadium pool gym bank prison castle
    palace tower temple farmhouse cottage tent cabin balcony chimney curtain carpet pillow blanket sheet mattress
    number word sentence story poem joke lesson question answer idea plan problem reason result chance choice
    change mistake secret dream wish hope fear love voice sound noise whisper echo smile laugh tear face head hair
    eye ear nose mouth lip tooth tongue chin neck shoulder arm elbow hand finger thumb chest heart stomach leg
    knee foot toe skin bone blood muscle brain mind breath medicine pill bandage fever cough cold headache
    hour minute second day week month year moment season century history future weather climate news report meeting
    message email website network battery cable switch button signal camera lens microphone speaker headphone
    volume programme channel episode series studio stage curtain audience costume mask puppet magic trick balloon
    bubble feather fur whisker paw tail wing beak claw shell nest egg hive cave cliff wave tide shore pebble
    waterfall stream pond puddle bog marsh meadow moor path trail track footprint bush hedge vine moss fern
    pumpkin walnut almond peanut popcorn mustard vinegar sauce gravy pasta noodle pizza burger sandwich muffin
    waffle pancake omelette yoghurt ice-cream chocolate vanilla cinnamon ginger pepper paprika basil mint parsley
    wardrobe drawer cupboard sofa armchair stool bench hammock swing slide sandbox fountain statue lantern torch
    candle match lighter ashtray envelope folder notebook diary calendar newspaper magazine comic poster banner flag
    medal trophy prize award badge uniform helmet shield sword arrow bow spear cannon barrel crate pallet van
    wagon cart sleigh saddle bridle harness anchor sail mast deck cabin porthole compass telescope microscope
    magnet prism crystal diamond ruby emerald pearl amber ivory marble granite chalk slate cement mortar timber
    voyage journey trip flight ride walk race match tournament contest victory defeat budget invoice payment salary
    profit loss market customer client contract signature agreement promise rule law vote election government tax
    budget bill debate speech argument opinion belief truth lie fact rumour legend myth fable proverb riddle""".split()
)

ADJECTIVES: Final = tuple(
    """big small large little tiny huge tall short long wide narrow deep shallow high low fat thin thick heavy light
    strong weak hard soft smooth rough sharp blunt hot cold warm cool wet dry clean dirty new old young fresh stale
    ripe raw sweet sour bitter salty spicy bland loud quiet silent noisy fast slow quick early late bright dark
    pale clear cloudy foggy sunny rainy windy stormy snowy red blue green yellow purple orange pink brown black
    white grey golden silver empty full open shut broken whole cheap expensive rich poor free busy lazy tired
    awake asleep hungry thirsty happy sad angry calm afraid brave proud shy kind cruel polite rude honest clever
    foolish wise simple easy difficult strange normal common rare special famous important useful useless safe
    dangerous healthy ill sick pretty ugly beautiful handsome lovely awful terrible wonderful perfect funny serious
    boring exciting modern ancient wild tame loose tight flat round square curved straight crooked steep public
    private foreign local national royal magic wooden metal plastic woollen paper possible impossible probable
    careful careless cheerful gloomy grateful jealous lonely nervous peaceful playful powerful puzzled silly sleepy
    smart stubborn sudden surprised thoughtful tough typical unusual upset usual valuable warm-hearted weird worried
    moody bumpy fluffy foamy vivid vague mighty mellow brisk bold plump humble noble feeble woeful awkward""".split()
)

VERBS: Final = tuple(
    """make take bring find keep hold carry push pull lift drop throw catch buy sell pay lend borrow steal give send
    show tell ask answer call visit meet help teach follow lead drive ride park stop start begin finish open close
    shut lock break fix mend build paint draw write read sing play move turn wash clean dry cook bake boil fry cut
    chop mix pour fill empty eat drink taste smell watch see hear feel touch hit kick bite lick kiss hug wake dress
    remember forget learn know understand believe choose pick plan want need love like hate fear miss lose win
    share hide save waste use wear tie fold pack wrap shake squeeze press rub scratch sweep brush polish burn light
    copy print count measure weigh check test prove improve remove include prefer promise expect explain describe
    discuss mention notice observe ignore avoid accept refuse offer receive return replace repeat report support
    surprise admire amuse annoy bother comfort punish forgive invite join leave marry protect trust warn welcome
    bump borrow fumble grab hammer juggle launch nudge paddle peel plough poke rescue scoop shove slam smash spoil
    stack steer stir swap tease toss trim twist unfold vacuum wave whip wipe""".split()
)

MOTIONS: Final = tuple(
    """walk run jump swim climb fall fly sail travel arrive wait stay sit stand sleep laugh cry smile talk speak
    shout whisper listen look work rest dance skate ski row hurry wander march creep crawl roll slide slip bounce
    float sink grow shrink appear vanish mumble babble hum yawn cough sneeze snore shiver tremble blush frown nod
    wave bow kneel pray dream worry hope complain argue agree""".split()
)

ADVERBS: Final = tuple(
    """quickly slowly quietly loudly softly carefully happily sadly angrily calmly bravely politely rudely gently
    roughly easily suddenly finally usually often sometimes never always rarely today tomorrow yesterday tonight now
    soon later early late again twice here there everywhere nowhere somewhere inside outside upstairs downstairs
    together alone well badly almost nearly perhaps maybe probably certainly really simply mostly wonderfully
    beautifully smoothly boldly warmly awfully""".split()
)

NAMES: Final = tuple(
    """Anna Ben Bob Betty Clara David Emma Eve Frank Fiona George Grace Harry Hannah Ivan Iris Jack Julia Kate Ken
    Laura Leo Maria Mark Molly Nina Noah Olivia Oscar Paul Paula Peter Quentin Rachel Robert Rosa Sam Sarah Tom
    Tina Uma Victor Vera William Wendy Xavier Yvonne Zack Zoe Bobby Pamela Philip Maeve Wilma Fabian Viola Moby
    Fumiko Amir Priya Chen Olga Pablo Amadou Ingrid Bjorn Mateo Chiara Yuki Omar Fatima""".split()
)

PLACES: Final = tuple(
    """London Paris Berlin Rome Madrid Vienna Moscow Tokyo Beijing Cairo Boston Chicago Miami Memphis Toronto Sydney
    Lisbon Dublin Oslo Warsaw Prague Athens Bombay Lima Havana Nairobi Wuhan Fukuoka Pompeii Vermont Florida
    Wyoming Bavaria Bohemia Peru Brazil Egypt Finland Panama Morocco Vietnam Wales Africa Europe America""".split()
)

PREPOSITIONS: Final = tuple(
    "in on under above behind beside near before after from with without by through past around towards".split()
)

REPLIES: Final = (
    "Yes.", "No.", "Maybe.", "Of course.", "I don't think so.", "Why not?", "Oh, wow!", "Really?", "Not at all.",
    "Thank you very much.", "You're welcome.", "Good morning!", "Good evening, everybody.", "Hello?", "Hi there.",
    "Goodbye for now.", "See you tomorrow.", "Wait a moment, please.", "Hmm, let me think.", "Sure, go ahead.",
    "Absolutely!", "Never mind.", "What a pity.", "How awful!", "Who is it?", "Where are you?", "That's wonderful!",
    "I have no idea.", "Sorry, what was that?", "Okay.", "Right, I see.", "Well, well, well.", "Oh no!", "Ah, I see.",
    "Could you say that again?", "It depends.", "You must be joking.", "Come on!", "Fine by me.", "Be quiet, please.",
    "Happy birthday!", "Bravo!", "Move, move, move!", "Mm, maybe.", "Pardon me?", "Very well.", "Whoever knows?",
    "Give me five more minutes.", "My pleasure.", "Wow, that is far more than I ever wanted.", "Stop!", "Help me up.",
)  # fmt: skip

LABIAL_WORDS: Final = tuple(
    """pop bob mom papa mama puppet bubble pebble bumble pump bomb beep peep poppy puppy baby maybe member remember
    number lumber thumb plumber problem probably public pamphlet bumpy lumpy grumpy mop map beam boom poem palm
    move movie wave weave woof roof proof beef belief foam fame fume from film firm form farm warm worm swarm worth
    five fever favour flavour over ever never river mauve above love glove olive view value vivid vowel avow
    woo wool wolf wood would world wow away await aware we why wheel while whisper whim wheat white wobble web
    moon moose moo mood food fool foot boot book push pull bull full bush boost bloom broom room rumour tomb womb
    father calm balm alms bah spa llama drama opera panorama mambo bamboo tambourine wombat vampire umbrella
    bob's apple maple purple pepper pipe paper viper vapour weapon wipe whip""".split()
)

FOREIGN: Final[dict[str, tuple[str, ...]]] = {
    "de": (
        "Guten Morgen, wie geht es Ihnen heute?", "Das schöne Wetter bleibt wohl noch bis Freitag.",
        "Mein Bruder möchte fünf Äpfel und ein Pfund Butter kaufen.", "Vielleicht fahren wir im Sommer ans Meer.",
        "Können Sie mir bitte den Weg zum Bahnhof zeigen?", "Über dem Fluss flogen viele bunte Vögel.",
        "Opa pfeift ein Lied, und das Baby brabbelt vor sich hin.", "Ich habe zwölf Briefe geschrieben.",
    ),
    "fr": (
        "Bonjour, comment allez-vous ce matin?", "Mon frère voudrait une pomme et un peu de beurre.",
        "Il fait beau, nous partons au bord de la mer.", "Où est la gare, s'il vous plaît?",
        "Le vieux bateau blanc flotte sur l'eau bleue.", "Pourquoi pas? Je veux bien un peu de vin.",
        "Ma voisine possède un piano vraiment magnifique.", "Au revoir, et bonne nuit!",
    ),
    "es": (
        "Buenos días, ¿cómo está usted?", "Mi hermano quiere comprar un poco de pan y mantequilla.",
        "Hoy hace mucho frío, pero mañana vamos a la playa.", "¿Dónde está la estación, por favor?",
        "El viejo barco blanco flota sobre el agua.", "Bueno, bebemos un poco de vino.",
        "Mi abuela me enviaba flores amarillas.", "¡Qué bonito pueblo!",
    ),
    "it": (
        "Buongiorno, come sta oggi?", "Mio fratello vuole comprare un po' di pane e burro.",
        "Domani andiamo al mare con la famiglia.", "Dov'è la stazione, per favore?",
        "La vecchia barca bianca dorme sul fiume.", "Che bella voce! Vorrei sentirla ancora.",
        "La mamma prepara una buona zuppa di piselli.", "Buona notte a tutti!",
    ),
    "pt": (
        "Bom dia, como vai você?", "Meu irmão quer comprar pão e um pouco de manteiga.",
        "Amanhã vamos para a praia com a família.", "Onde fica a estação, por favor?",
        "O velho barco branco boia na água azul.", "Minha avó faz uma sopa muito boa.",
    ),
    "nl": (
        "Goedemorgen, hoe gaat het met u?", "Mijn broer wil vijf appels en wat boter kopen.",
        "Morgen gaan we met de boot naar de overkant.", "Waar is het station, alstublieft?",
        "De oude bakker bakt bijzonder lekker brood.", "Wat een mooi plein!",
    ),
    "pl": (
        "Dzień dobry, jak się pan miewa?", "Mój brat chce kupić pięć jabłek i masło.",
        "Jutro pojedziemy nad morze.", "Gdzie jest dworzec, proszę?", "Babcia upiekła pyszny placek.",
    ),
    "sv": (
        "God morgon, hur mår du?", "Min bror vill köpa fem äpplen och lite smör.",
        "I morgon åker vi båt över sjön.", "Var ligger stationen?", "Den gamla bilen är blå.",
    ),
    "tr": (
        "Günaydın, nasılsınız?", "Kardeşim beş elma ve biraz tereyağı almak istiyor.",
        "Yarın deniz kenarına gideceğiz.", "Bu büyük bahçe çok güzel.", "Babam bize mavi bir araba aldı.",
    ),
    "hi": (
        "नमस्ते, आप कैसे हैं?", "मेरा भाई पाँच सेब और थोड़ा मक्खन चाहता है।", "कल हम बाज़ार जाएँगे।",
        "मुझे यह फूल बहुत पसंद है।",
    ),
    "ja": (
        "こんにちは、おげんきですか。", "あしたはうみへいきましょう。", "ふゆのふじさんはとてもきれいです。",
        "わたしのあにはりんごをむっつかいました。",
    ),
    "cs": ("Dobrý den, jak se máte?", "Můj bratr chce pět jablek a máslo.", "Babička peče výborný koláč."),
    "fi": ("Hyvää päivää, mitä kuuluu?", "Veljeni ostaa viisi omenaa ja voita.", "Huomenna menemme uimaan."),
    "ru": ("Доброе утро, как ваши дела?", "Мой брат хочет купить пять яблок и масло.", "Завтра мы поедем на море."),
    "el": ("Καλημέρα, πώς είστε;", "Ο αδελφός μου θέλει πέντε μήλα και βούτυρο.", "Αύριο πάμε στη θάλασσα."),
    "ro": ("Bună ziua, ce mai faceți?", "Fratele meu vrea cinci mere și puțin unt.", "Mâine mergem la mare."),
    "hu": ("Jó napot, hogy van?", "A bátyám öt almát és egy kis vajat kér.", "Holnap úszni megyünk."),
    "id": ("Selamat pagi, apa kabar?", "Kakak saya mau membeli lima apel dan mentega.", "Besok kami pergi ke pantai."),
    "vi": ("Xin chào, bạn có khỏe không?", "Anh tôi muốn mua năm quả táo và một ít bơ."),
    "sw": ("Habari za asubuhi?", "Kaka yangu anataka kununua maembe na mkate.", "Kesho tutakwenda pwani."),
}  # fmt: skip
"""Short sentences by espeak-ng language name."""
