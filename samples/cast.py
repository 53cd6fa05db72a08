"""The two performers of the samples: their bodies, clothes, rooms and dances."""

from dataclasses import dataclass

from samples.renderer.appearance import Fabric, Look
from samples.renderer.choreography import Dance
from samples.renderer.dances import ACTOR_DANCE, SOURCE_DANCE
from samples.renderer.draw import Renderer
from samples.renderer.prints import Print
from samples.renderer.proportions import BodyShape
from samples.renderer.room import Poster, Room


@dataclass(frozen=True, slots=True)
class Performer:
    """A person, the room they dance in, and their dance."""

    name: str
    body: BodyShape
    look: Look
    room: Room
    dance: Dance

    def renderer(self, width_px: int, height_px: int) -> Renderer:
        return Renderer(self.body, self.look, self.room, width_px, height_px)


SOURCE = Performer(
    name="source",
    body=BodyShape(head=1.04, hand=1.10),
    look=Look(
        skin=(226, 176, 144),
        hair=(58, 38, 26),
        lips=(184, 98, 92),
        iris=(62, 92, 112),
        top=Fabric((236, 186, 66), (38, 58, 104), "hoops", pitch_m=0.075),
        bottom=Fabric((44, 58, 94), (104, 124, 164), "denim"),
        shoe=(238, 238, 240),
        sole=(206, 70, 58),
        sock=(230, 230, 226),
        sleeve=0.52,
    ),
    room=Room(
        wall="plaster",
        wall_rgb=(188, 202, 206),
        lower_wall_rgb=(140, 160, 166),
        floor="planks",
        floor_rgb=(160, 118, 80),
        skirting_rgb=(232, 232, 226),
        posters=(
            Poster(-1.42, 1.15, 0.50, 0.70, (240, 232, 214), (208, 84, 62)),
            Poster(0.98, 1.20, 0.56, 0.42, (226, 234, 232), (52, 108, 112)),
        ),
    ),
    dance=SOURCE_DANCE,
)

ACTOR = Performer(
    name="actor",
    body=BodyShape(
        thigh_m=0.385,
        shin_m=0.375,
        ankle_height_m=0.096,
        foot_m=0.235,
        hip_half_m=0.100,
        spine_m=0.475,
        shoulder_half_m=0.172,
        upper_arm_m=0.262,
        forearm_m=0.235,
        hand=1.06,
        head=1.03,
        trunk_girth=1.10,
        limb_girth=1.08,
        waist=0.84,
    ),
    look=Look(
        skin=(192, 136, 102),
        hair=(92, 40, 24),
        lips=(176, 72, 76),
        iris=(72, 48, 28),
        top=Fabric((34, 116, 104), (34, 116, 104), "plain"),
        sleeves=Fabric((34, 116, 104), (232, 226, 190), "hoops", pitch_m=0.105),
        chest_print=Print("star", "DANCE", (240, 232, 196)),
        back_print=Print("", "ED", (240, 232, 196)),
        bottom=Fabric((70, 56, 74), (70, 56, 74), "plain"),
        shoe=(226, 112, 52),
        sole=(240, 236, 228),
        sock=(70, 56, 74),
        sleeve=1.72,
        long_hair=True,
        bust_m=0.046,
        smile_m=0.004,
    ),
    room=Room(
        wall="brick",
        wall_rgb=(196, 158, 136),
        lower_wall_rgb=(196, 158, 136),
        floor="tiles",
        floor_rgb=(128, 130, 134),
        skirting_rgb=(92, 84, 80),
        posters=(Poster(0.95, 1.18, 0.46, 0.64, (52, 62, 82), (236, 196, 110)),),
        field_of_view_deg=25.0,
        light=(0.60, 1.25, 0.95),
    ),
    dance=ACTOR_DANCE,
)
