with

judged as (

    select * from {{ ref('int_judged_days') }}

)

select
    asset_id,
    date,
    exclusion_reason is null as is_eligible,
    exclusion_reason
from judged
